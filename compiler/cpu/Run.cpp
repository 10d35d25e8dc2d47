#include "compiler/cpu/Run.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lathe::cpu {

using reference::Declaration;
using reference::Program;
using Kind = Declaration::Kind;

namespace {

/// Numbers too small for a normal fp32 are zero while it lives: a state that has faded away would
/// else take a hundred times as long.
class FlushDenormals {
public:
#if defined(__x86_64__)
  FlushDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | flushToZero | denormalsAreZero); }
  ~FlushDenormals() { _mm_setcsr(before); }
  FlushDenormals(const FlushDenormals&) = delete;

private:
  static constexpr unsigned flushToZero = 0x8000, denormalsAreZero = 0x40;
  unsigned before;
#endif
};

class TaskRun {
public:
  TaskRun(const Program& program, const Unit& unit, const BoundCall& call, const Task& task,
          long spacing, Workspace& workspace)
      : program(program), unit(unit), memory(unit.memory), call(call), task(task),
        frame(memory.frame.words, 0) {
    firstToken = call.isPacked ? call.starts[task.sequence] : 0;
    tokens = call.isPacked ? call.starts[task.sequence + 1] - firstToken : call.tokens;
    findRecomputed();
    this->spacing = isAnyRecomputed ? std::min<long>(spacing, std::max<long>(tokens, 1))
                                    : std::max<long>(tokens, 1);
    segments = (tokens + this->spacing - 1) / this->spacing;
    divide(workspace);
    fillFrame();
  }

  void run() {
    for (std::size_t n = 0; n < memory.sweeps.size(); ++n) {
      const Sweep& sweep = memory.sweeps[n];
      if (sweep.updates.empty() && sweep.outputs.empty())
        continue;
      copyStates(n, call.initial, true);
      for (long i = 0; i < segments; ++i)
        runSegment(n, sweep.reverse ? segments - 1 - i : i);
      copyStates(n, call.final, false);
    }
  }

private:
  long bytesOf(std::size_t sweep) const { return 4 * memory.blocks[sweep].count; }

  void findRecomputed() {
    isRecomputed.assign(memory.sweeps.size(), false);
    for (const Sweep& sweep : memory.sweeps)
      for (int earlier : sweep.recomputed)
        isRecomputed[earlier] = isAnyRecomputed = true;
  }

  /// Scratch, then for each sweep its states as they stand, those saved at every segment, and those
  /// of the tokens of one segment.
  void divide(Workspace& workspace) {
    std::size_t size = unit.scratchBytes;
    const auto take = [&](std::size_t bytes) {
      size = (size + Workspace::alignment - 1) / Workspace::alignment * Workspace::alignment;
      const std::size_t at = size;
      size += bytes;
      return at;
    };
    std::vector<std::size_t> stands, saved, recomputed;
    for (std::size_t n = 0; n < memory.sweeps.size(); ++n) {
      const std::size_t bytes = bytesOf(n);
      stands.push_back(take(bytes));
      saved.push_back(take(isRecomputed[n] ? bytes * segments : 0));
      recomputed.push_back(take(isRecomputed[n] ? bytes * (spacing + 1) : 0));
    }
    std::byte* base = workspace.reserve(size);
    scratch = base;
    for (std::size_t n = 0; n < memory.sweeps.size(); ++n)
      places.push_back({base + stands[n], base + saved[n], base + recomputed[n]});
  }

  void fillFrame() {
    frame[Frame::scratch] = reinterpret_cast<std::int64_t>(scratch);
    for (std::size_t i = 0; i < program.declarations.size(); ++i) {
      const Declaration& declaration = program.declarations[i];
      const int word = memory.frame.tensors[i];
      if (declaration.kind == Kind::state)
        continue;
      if (declaration.kind == Kind::constant) {
        frame[word] = std::bit_cast<std::uint32_t>(call.constants[i]);
        continue;
      }
      const Bound& tensor = call.tensors[i];
      const std::int64_t batch = call.isPacked ? 0 : task.sequence;
      std::byte* data = tensor.data + batch * tensor.outer + firstToken * tensor.token +
                        task.head / (call.heads / tensor.heads) * tensor.head;
      frame[word] = reinterpret_cast<std::int64_t>(data + sliceOffset(declaration, tensor));
      frame[word + 1] = tensor.token;
      std::copy(tensor.dims.begin(), tensor.dims.end(), frame.begin() + word + 2);
    }
  }

  std::int64_t sliceOffset(const Declaration& declaration, const Bound& tensor) const {
    const Dims dims = memory.ordered(declaration.dims);
    for (std::size_t i = 0; i < dims.size(); ++i)
      if (dims[i] == task.sliceDim)
        return task.sliceStart * tensor.dims[i];
    return 0;
  }

  /// States from or to the memory of the call; those that start from nothing are zero.
  void copyStates(std::size_t sweep, const std::vector<Bound>& tensors, bool isInitial) {
    const StateBlock& block = memory.blocks[sweep];
    if (isInitial)
      std::memset(places[sweep].stands, 0, bytesOf(sweep));
    for (int state : memory.sweeps[sweep].updates) {
      const Bound& tensor = tensors[state];
      if (!tensor.data)
        continue;
      const Layout& layout = block.layouts.at(state);
      const bool isSliced = layout.strideOf(task.sliceDim) != 0;
      if (!isInitial && !isSliced && task.sliceStart > 0)
        continue;
      auto* own = reinterpret_cast<float*>(places[sweep].stands) + block.offsets.at(state);
      std::byte* other = tensor.data + task.sequence * tensor.outer + task.head * tensor.head +
                         sliceOffset(program.declarations[state], tensor);
      copyState(layout, 0, own, other, tensor.dims, isInitial);
    }
  }

  static void copyState(const Layout& layout, std::size_t depth, float* own, std::byte* other,
                        const std::vector<std::int64_t>& strides, bool isInitial) {
    if (depth == layout.dims.size()) {
      if (isInitial)
        std::memcpy(own, other, sizeof(float));
      else
        std::memcpy(other, own, sizeof(float));
      return;
    }
    for (long i = 0; i < layout.sizes[depth]; ++i)
      copyState(layout, depth + 1, own + i * layout.strides[depth], other + i * strides[depth],
                strides, isInitial);
  }

  void runSegment(std::size_t n, long segment) {
    if (isRecomputed[n])
      std::memcpy(places[n].saved + segment * bytesOf(n), places[n].stands, bytesOf(n));
    const Sweep& sweep = memory.sweeps[n];
    for (int earlier : sweep.recomputed) {
      std::memcpy(places[earlier].recomputed, places[earlier].saved + segment * bytesOf(earlier),
                  bytesOf(earlier));
      execute(earlier, segment, unit.sweeps[earlier].carry, true);
    }
    execute(n, segment, unit.sweeps[n].full, false);
  }

  /// Runs one function over a segment; the states that it reads are those recomputed for it.
  void execute(std::size_t n, long segment, Function function, bool keepsAll) {
    const bool reverse = memory.sweeps[n].reverse;
    const std::int64_t begin = segment * spacing;
    const std::int64_t count = std::min<std::int64_t>(spacing, tokens - begin);
    frame[Frame::first] = reverse ? begin + count - 1 : begin;
    frame[Frame::count] = count;
    const auto place = [&](std::size_t sweep, std::byte* states, std::int64_t advance) {
      frame[Frame::blocks + 2 * sweep] = reinterpret_cast<std::int64_t>(states);
      frame[Frame::blocks + 2 * sweep + 1] = advance;
    };
    for (int earlier : memory.sweeps[n].recomputed) {
      const std::int64_t bytes = bytesOf(earlier);
      std::byte* states = places[earlier].recomputed;
      if (memory.sweeps[earlier].reverse == reverse)
        place(earlier, states, bytes);
      else
        place(earlier, states + (count - 1) * bytes, -bytes);
    }
    if (keepsAll)
      place(n, places[n].recomputed, bytesOf(n));
    else
      place(n, places[n].stands, 0);
    function(frame.data());
  }

  struct Places {
    std::byte *stands, *saved, *recomputed;
  };

  const Program& program;
  const Unit& unit;
  const Memory& memory;
  const BoundCall& call;
  const Task& task;
  std::vector<std::int64_t> frame;
  std::int64_t firstToken = 0, tokens = 0;
  long spacing = 0, segments = 0;
  bool isAnyRecomputed = false;
  std::vector<bool> isRecomputed;  ///< Of each sweep: a later one needs its states.
  std::byte* scratch = nullptr;
  std::vector<Places> places;
};

}  // namespace

long defaultSpacing(const Unit& unit, std::int64_t tokens) {
  constexpr double cacheBytes = 512 * 1024;  // Half of a usual L2.
  double bytes = 1;
  for (const Sweep& sweep : unit.memory.sweeps)
    for (int earlier : sweep.recomputed)
      bytes = std::max(bytes, 4.0 * static_cast<double>(unit.memory.blocks[earlier].count));
  const double least = std::sqrt(static_cast<double>(tokens)) / 4;  // Saved states are memory too.
  return static_cast<long>(std::max({1.0, cacheBytes / bytes, least}));
}

void runTask(const Program& program, const Unit& unit, const BoundCall& call, const Task& task,
             long spacing, Workspace& workspace) {
  const FlushDenormals flush;
  TaskRun(program, unit, call, task, spacing, workspace).run();
}

}  // namespace lathe::cpu
