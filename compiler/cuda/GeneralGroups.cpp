// The loops of a sweep: over elements, over the tokens of a block, over the registers of states.
#include "compiler/cuda/GeneralEmitter.h"

#include <cmath>

namespace lathe::cuda {

using Role = KernelSource::Slot::Role;

/// To an output's tensor or to the token's record.
void SweepWriter::writeStore(Scope& scope, const Item& item) {
  const std::string x = value(scope, item.value);
  if (item.what == Item::What::keep) {
    std::string exists = condition(scope, item.space);
    scope.text.line("          ", exists.empty() ? "" : "if (" + exists + ")\n            ",
                    "record(at, t)[", kernel.record.at(item.value), " + ",
                    offset(scope, kernel.recordDims(item.value), true), "] = ", x, ";");
    return;
  }
  const Operand& operand = kernel.plan.operands[item.operand];
  std::string exists = condition(scope, operand.dims);
  if (kernel.tiles() > 1 && !kernel.isSpread(operand.dims))
    exists += (exists.empty() ? "" : " && ") + std::string("at.tile == 0");
  const std::string tensor = kernel.tensor(item.operand, Role::operand),
                    type = cudaType(kernel.signature.dtypes[item.operand]);
  scope.text.line("          ", exists.empty() ? "" : "if (" + exists + ")\n            ", "(",
                  tensor, ".at<", type, ">(at.sequence, at.head) + int64(t) * ", tensor, ".token)[",
                  offset(scope, operand.dims, false), "] = fromFloat<", type, ">(", x, ");  // ",
                  operand.name);
}

void SweepWriter::writeItem(Scope& scope, const Group& group, int index) {
  const Item& item = items.items[index];
  if (item.what == Item::What::output || item.what == Item::What::keep)
    return writeStore(scope, item);
  std::string x;
  if (item.what == Item::What::whole) {
    x = name();
    const std::string i = scope.at.at(item.space[0]), part = "p" + std::to_string(item.value);
    const std::string first =
        item.ofAll ? "r * kWarps * " + std::to_string(pitch(item.value)) + " + " + i : i;
    scope.text.line("          float ", x, " = ", part, "[", first, "];");
    scope.text.line("          for (int w = 1; w < kWarps; ++w)");
    scope.text.line("            ", x, " = combine<", isLargest(item.value) ? "true" : "false",
                    ">(", x, ", ", part, "[w * ", pitch(item.value), " + ", first, "]);");
    scope.known[{item.value, keyOf(scope, item.value)}] = x;
  } else {
    x = define(scope, item.value);
  }
  if (rowOffsets.count(item.value) && isReadBeyond(group, index))
    scope.text.line("          ", row(scope, item.value, graph.carrierOf(item.value) >= 0), " = ",
                    x, ";");
}

/// The index of each dimension of an element e, and which may be beyond the end.
void SweepWriter::writeIndices(Scope& scope, const Dims& space) const {
  int stride = kernel.held(space);
  for (const std::string& dim : space) {
    stride /= kernel.held(dim);
    const std::string index = "i" + std::to_string(scope.at.size());
    scope.text.line("          [[maybe_unused]] const int ", index, " = e / ", stride, " % ",
                    kernel.held(dim), ";");
    scope.at[dim] = index;
    if (dim == kernel.spread && kernel.size(dim) % kernel.held(dim))
      scope.limits[dim] = kernel.size(dim);
  }
}

void SweepWriter::writeElements(Text& text, const Group& group, bool isLoop) {
  const int count = kernel.held(group.space);
  std::set<int> loaded = isLoop ? std::set<int>() : inputsOf(group);
  std::erase_if(loaded, [&](int input) { return !ahead.count(input); });
  if (isLoop) {
    text.line("        for (int e = at.thread; e < ", count, "; e += kThreads) {");
  } else if (loaded.empty()) {
    text.line("#pragma unroll 2");
    text.line("      for (int e = at.thread; e < at.rows * ", count, "; e += kThreads) {");
  } else {
    text.line("#pragma unroll");
    text.line("      for (int k = 0; k < ", roundsOf(group.space), "; ++k)");
    text.line("      if (const int e = at.thread + k * kThreads; e < at.rows * ", count, ") {");
  }
  if (!isLoop) {
    text.line("          const int r = e / ", count, ";");
    writeToken(text);
  }
  Scope scope{text, {}};
  writeIndices(scope, group.space);
  for (int input : loaded)
    scope.loaded[element(scope, input)] = "inputs.in" + std::to_string(input) + "[k]";
  for (int item : group.items)
    writeItem(scope, group, item);
  text.line("      }");
}

/// A warp a token: reductions over one dimension.
void SweepWriter::writeRows(Text& text, const Group& group, bool isLoop, int turn) {
  if (isLoop) {
    text.line("        if (at.warp == ", turn, " % kWarps) {");
  } else {
    text.line("#pragma unroll 1");
    text.line("      for (int r = at.warp; r < at.rows; r += kWarps) {");
    text.line("          [[maybe_unused]] const int t = at.token<",
              sweep.reverse ? "true" : "false", ">(r);");
  }
  std::vector<std::string> sums;
  for (int item : group.items) {
    sums.push_back(name());
    text.line("          float ", sums.back(), " = ",
              isLargest(items.items[item].value) ? literal(-INFINITY) : "0.0f", ";");
  }
  text.line("          for (int i = at.lane; i < ", kernel.held(group.space[0]), "; i += 32) {");
  Scope scope{text, {{group.space[0], "i"}}};
  for (std::size_t k = 0; k < group.items.size(); ++k) {
    const int value = items.items[group.items[k]].value;
    const std::string next = term(scope, value);
    text.line("          ", sums[k], " = combine<", isLargest(value) ? "true" : "false", ">(",
              sums[k], ", ", next, ");");
  }
  text.line("          }");
  for (std::size_t k = 0; k < group.items.size(); ++k) {
    const int value = items.items[group.items[k]].value;
    text.line("          ", sums[k], " = warp", isLargest(value) ? "Max(" : "Sum(", sums[k], ");");
    text.line("          if (at.lane == 0)");
    text.line("            ", row(Scope{text, {}}, value, 0), " = ", sums[k], ";");
  }
  text.line("      }");
}

}  // namespace lathe::cuda
