#include "compiler/cpu/Cpu.h"

#include "compiler/cpu/Emit.h"
#include "compiler/cpu/Jit.h"
#include "compiler/cpu/Pool.h"
#include "compiler/cpu/Run.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace lathe::cpu {

using reference::Declaration;
using reference::Instruction;
using reference::Program;

namespace {

bool has(const Dims& dims, const std::string& dim) {
  return std::find(dims.begin(), dims.end(), dim) != dims.end();
}

/// The dimension that tasks may share out: the last in memory, where no sum goes over it and all
/// outputs have it. Empty where there is none.
std::string findSliceDim(const Program& program) {
  const Dims order = memoryOrder(program);
  if (order.empty())
    return "";
  const std::string& dim = order.back();
  for (const Instruction& instruction : program.instructions) {
    const bool isReduction = instruction.kind == Instruction::Kind::sum ||
                             instruction.kind == Instruction::Kind::max ||
                             instruction.kind == Instruction::Kind::contract;
    if (isReduction && instruction.name == dim)
      return "";
  }
  for (const Declaration& declaration : program.declarations)
    if (declaration.kind == Declaration::Kind::output && !has(declaration.dims, dim))
      return "";
  return dim;
}

/// What a slice holds: as many columns as keep its states in the L1 cache.
long sliceSize(const Program& program, const std::string& dim, const Sizes& sizes, int asked,
               int lanes) {
  const long size = sizes.at(dim);
  long slice = asked;
  if (asked == 0) {
    constexpr long cacheElements = 8192;
    long columnElements = 0;
    for (const Declaration& declaration : program.declarations) {
      if (declaration.kind != Declaration::Kind::state || !has(declaration.dims, dim))
        continue;
      long count = 1;
      for (const std::string& own : declaration.dims)
        count *= own == dim ? 1 : sizes.at(own);
      columnElements += count;
    }
    slice = cacheElements / std::max(columnElements, 1L);
  }
  slice = std::max<long>(1, (slice + (asked == 0 ? 0 : lanes - 1)) / lanes) * lanes;
  return std::min(slice, size);
}

}  // namespace

TensorView contiguous(void* data, DType dtype, std::vector<std::int64_t> shape) {
  TensorView view{data, dtype, std::move(shape), {}};
  view.strides.resize(view.shape.size());
  std::int64_t stride = 1;
  for (std::size_t i = view.shape.size(); i-- > 0;) {
    view.strides[i] = stride;
    stride *= view.shape[i];
  }
  return view;
}

struct Kernel::Code {
  Code(const Program& source, const Target& target)
      : program(source), dtypes(dtypesOf(source, target)), sizes(sizesOf(source, target)),
        sliceDim(findSliceDim(source)) {
    if (program.chunked)
      throw std::invalid_argument("variant " + program.variant +
                                  ": the CPU target compiles the token form, not the chunk form");
    const int lanes = nativeLanes();
    std::vector<long> slices;
    if (sliceDim.empty()) {
      slices.push_back(0);
    } else {
      slice = sliceSize(program, sliceDim, sizes, target.slice, lanes);
      slices.push_back(slice);
      if (const long rest = sizes.at(sliceDim) % slice; rest != 0)
        slices.push_back(rest);
    }
    compile(slices, lanes);
  }

  /// One unit for each size of a slice.
  void compile(const std::vector<long>& slices, int lanes) {
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    loadDialects(context);
    const mlir::OwningOpRef<mlir::ModuleOp> module =
        mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    for (std::size_t i = 0; i < slices.size(); ++i) {
      Sizes own = sizes;
      if (!sliceDim.empty())
        own[sliceDim] = slices[i];
      units.push_back({Memory(program, own, sizes, lanes), {}, 0});
    }
    for (std::size_t i = 0; i < units.size(); ++i)
      forEachFunction(i, [&](std::size_t sweep, bool withOutputs, const std::string& name) {
        Unit& unit = units[i];
        const Schedule schedule = makeSchedule(program, unit.memory.sweeps[sweep], withOutputs);
        const Emission emission{&program, &unit.memory, &schedule, dtypes, name};
        unit.scratchBytes = std::max(unit.scratchBytes, emitFunction(emission, *module));
      });
    jit.emplace(*module);
    for (std::size_t i = 0; i < units.size(); ++i) {
      units[i].sweeps.resize(units[i].memory.sweeps.size());
      forEachFunction(i, [&](std::size_t sweep, bool withOutputs, const std::string& name) {
        Unit::Functions& functions = units[i].sweeps[sweep];
        (withOutputs ? functions.full : functions.carry) =
            reinterpret_cast<Function>(jit->address(name));
      });
    }
  }

  template <typename Visit> void forEachFunction(std::size_t unit, const Visit& visit) {
    const std::vector<Sweep>& sweeps = units[unit].memory.sweeps;
    for (std::size_t n = 0; n < sweeps.size(); ++n) {
      const std::string name = "unit" + std::to_string(unit) + "_sweep" + std::to_string(n);
      visit(n, true, name);
      const bool isRecomputed = std::any_of(sweeps.begin(), sweeps.end(), [&](const Sweep& later) {
        return std::find(later.recomputed.begin(), later.recomputed.end(), static_cast<int>(n)) !=
               later.recomputed.end();
      });
      if (isRecomputed)
        visit(n, false, name + "_carry");
    }
  }

  Program program;
  std::vector<DType> dtypes;
  Sizes sizes;
  std::string sliceDim;
  long slice = 0;
  std::vector<Unit> units;  ///< Of whole slices, and of the one that is left.
  std::optional<Jit> jit;
  Workspaces workspaces;
};

Kernel::Kernel(const Program& program, const Target& target)
    : code(std::make_unique<Code>(program, target)) {}
Kernel::~Kernel() = default;
Kernel::Kernel(Kernel&&) noexcept = default;

std::string Kernel::sliceDim() const { return code->sliceDim; }
int Kernel::slice() const { return static_cast<int>(code->slice); }

bool Kernel::recomputes() const {
  const std::vector<Sweep>& sweeps = code->units[0].memory.sweeps;
  return std::any_of(sweeps.begin(), sweeps.end(),
                     [](const Sweep& sweep) { return !sweep.recomputed.empty(); });
}

void Kernel::run(const Call& call) const {
  const BoundCall bound = bindCall(code->program, code->dtypes, code->units[0].memory, call);
  if (call.threads < 0 || call.spacing < 0)
    throw std::invalid_argument("variant " + code->program.variant + ": " +
                                std::to_string(std::min(call.threads, call.spacing)) +
                                " threads or tokens of spacing; they must be at least 1, or 0 for "
                                "the default");
  const long size = code->sliceDim.empty() ? 1 : code->sizes.at(code->sliceDim);
  const long slice = code->sliceDim.empty() ? 1 : code->slice;
  const long slices = (size + slice - 1) / slice;
  const long spacing =
      call.spacing > 0 ? call.spacing : defaultSpacing(code->units[0], bound.tokens);
  const int threads = call.threads > 0 ? call.threads : processors();
  parallelFor(bound.sequences() * bound.heads * slices, threads, [&](long index) {
    const long start = index % slices * slice;
    const Task task{index / slices / bound.heads, index / slices % bound.heads, code->sliceDim,
                    start};
    const Workspaces::Loan workspace(code->workspaces);
    const bool isRest = start + slice > size;
    runTask(code->program, code->units[isRest ? 1 : 0], bound, task, spacing, *workspace);
  });
}

}  // namespace lathe::cpu
