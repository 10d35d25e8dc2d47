// The frame of a sweep: where its values lie, its states in and out, the stages of a block.
#include "compiler/cuda/GeneralEmitter.h"

#include <algorithm>

namespace lathe::cuda {

using Role = KernelSource::Slot::Role;

SweepWriter::SweepWriter(const GeneralKernel& kernel, const GraphSweep& sweep)
    : kernel(kernel), graph(kernel.graph), sweep(sweep), items(graph, sweep, kernel.spread),
      schedule(scheduleOf(items)), layout(kernel.carried) {
  place();
  placeInputs();
}

/// Whether an item's row is read by other threads than those that make it, or later.
bool SweepWriter::isReadBeyond(const Group& group, int item) const {
  if (graph.carrierOf(items.items[item].value) >= 0)
    return true;
  for (int other = 0; other < int(items.items.size()); ++other)
    for (const Item::Need& need : items.items[other].needs)
      if (need.item == item && !std::count(group.items.begin(), group.items.end(), other))
        return true;
  return false;
}

void SweepWriter::place() {
  for (const auto& level : schedule.levels)
    for (const Stage& stage : level)
      for (const auto& phase : stage.phases)
        for (const Group& group : phase)
          for (int index : group.items) {
            const Item& item = items.items[index];
            if (item.what == Item::What::partial) {
              partialOffsets[item.value] =
                  layout.take(sizeof(float) * (item.ofAll ? kernel.tile.block : 1) *
                              (kernel.threads() / 32) * pitch(item.value));
            } else if ((item.what == Item::What::value || item.what == Item::What::whole) &&
                       (item.how != Item::How::elements || isReadBeyond(group, index))) {
              auto carrier = kernel.carriers.find(item.value);
              rowOffsets[item.value] =
                  carrier != kernel.carriers.end()
                      ? carrier->second
                      : layout.take(sizeof(float) * kernel.tile.block * pitch(item.value));
            }
          }
}

std::string SweepWriter::heldType(const Dims& dims) const {
  const std::string column = items.columnOf(dims);
  const std::string channel = dims[0] == column ? dims[1] : dims[0];
  return "Held<" + std::to_string(kernel.held(channel)) + ", " +
         std::to_string(kernel.held(column)) + ", kSplit, kColumns, kWarps>";
}

void SweepWriter::write(Text& text, const std::string& name) {
  text.line("  struct ", name, " {");
  text.line("    static constexpr int kBlock = ", kernel.tile.block, ";");
  text.line("    static constexpr bool kReverse = ", sweep.reverse ? "true" : "false", ";");
  bool carriesRows = std::any_of(sweep.states.begin(), sweep.states.end(), [&](int state) {
    return kernel.plan.operands[state].dims.size() < 2;
  });
  text.line("    static constexpr bool kCarriesRows = ", carriesRows ? "true" : "false", ";");
  for (int state : sweep.states) {
    const Operand& operand = kernel.plan.operands[state];
    if (operand.dims.size() > 1)
      text.line("    typename ", heldType(operand.dims), "::Registers s", state, ";  // ",
                operand.name);
  }
  writeInputs(text);
  writeTransfer(text, true);
  writeTransfer(text, false);
  if (kernel.span) {
    writeCheckpoint(text, true);
    writeCheckpoint(text, false);
  }
  if (carriesRows)
    writeCarry(text);
  writeAdvance(text);
  text.line("  };");
}

void SweepWriter::writeTransfer(Text& text, bool load) const {
  text.line("    __device__ __forceinline__ void ", load ? "load" : "store", "(const Place& at) {");
  for (int state : sweep.states)
    if (kernel.plan.operands[state].dims.size() > 1)
      writeHeldTransfer(text, state, load);
    else
      writeRowTransfer(text, state, load);
  text.line("    }");
}

void SweepWriter::writeHeldTransfer(Text& text, int state, bool load) const {
  const Operand& operand = kernel.plan.operands[state];
  const std::string type = cudaType(kernel.signature.dtypes[state]);
  const std::string column = items.columnOf(operand.dims);
  const bool isColumnFirst = operand.dims[0] == column;
  const int channels = kernel.size(operand.dims[isColumnFirst ? 1 : 0]);
  const bool isSpread = column == kernel.spread;
  const std::string first = isSpread ? "at.tile * kBlockV" : "0";
  text.line("      {");
  text.line("        const Tensor& tensor = ",
            kernel.tensor(state, load ? Role::initial : Role::final), ";");
  text.line("        const int64 channelStride = tensor.", isColumnFirst ? "inner" : "token",
            ", columnStride = tensor.", isColumnFirst ? "token" : "inner", ";");
  text.line("        ", type, "* data = tensor.stateAt<", type, ">(at.sequence, at.head);");
  if (isSpread)
    text.line("        if (data)\n          data += ", first, " * columnStride;");
  const std::string guard = load || kernel.isSpread(operand.dims) || kernel.tiles() == 1
                                ? "data"
                                : "data && at.tile == 0";
  const std::string shape = heldType(operand.dims) + ", " + std::to_string(channels) + ">";
  const std::string columns = std::to_string(kernel.size(column)) + " - " + first;
  const std::string strides = "channelStride, columnStride, min(" +
                              std::to_string(kernel.held(column)) + ", " + columns + "), at);";
  if (load)
    text.line("        loadHeld<", shape, "(s", state, ", data, ", strides);
  else
    text.line("        if (", guard, ")\n          storeHeld<", shape, "(data, s", state, ", ",
              strides);
  text.line("      }");
}

void SweepWriter::writeRowTransfer(Text& text, int state, bool load) const {
  const Operand& operand = kernel.plan.operands[state];
  const std::string type = cudaType(kernel.signature.dtypes[state]);
  const bool isSpread = kernel.isSpread(operand.dims);
  const int held = kernel.held(operand.dims);
  const std::string first = isSpread ? "at.tile * kBlockV" : "0";
  const std::string stride = operand.dims.empty() ? "0" : "tensor.token";
  std::string exists = "data";
  if (isSpread && kernel.size(operand.dims[0]) % held)
    exists += " && " + first + " + i < " + std::to_string(kernel.size(operand.dims[0]));
  text.line("      {");
  text.line("        const Tensor& tensor = ",
            kernel.tensor(state, load ? Role::initial : Role::final), ";");
  text.line("        ", type, "* data = tensor.stateAt<", type, ">(at.sequence, at.head);");
  text.line("        float* row = at.rowsAt(", rowOffsets.at(graph.carried.at(state)), ");");
  if (!load && !isSpread && kernel.tiles() > 1)
    exists += " && at.tile == 0";
  text.line("        for (int i = at.thread; i < ", held, "; i += kThreads)");
  const std::string element = "data[(" + first + " + i) * " + stride + "]";
  if (load)
    text.line("          row[i] = ", exists, " ? toFloat(", element, ") : 0.0f;");
  else
    text.line("          if (", exists, ")\n            ", element, " = fromFloat<", type,
              ">(row[i]);");
  text.line("      }");
}

/// States between registers and rows and a checkpoint, of which `data` is the place.
void SweepWriter::writeCheckpoint(Text& text, bool load) const {
  text.line("    __device__ __forceinline__ void ", load ? "restore" : "save",
            "(const Place& at, float* data) {");
  for (int state : sweep.states) {
    const Dims& dims = kernel.plan.operands[state].dims;
    auto place = kernel.checkpoint.find(state);
    if (place == kernel.checkpoint.end())
      continue;
    const std::string from = "data + " + std::to_string(place->second);
    if (dims.size() < 2) {
      const int value = graph.carried.at(state);
      text.line("      for (int i = at.thread; i < ", kernel.held(dims), "; i += kThreads)");
      const std::string row = "at.rowsAt(" + std::to_string(rowOffsets.at(value)) + ")[i]";
      const std::string own = "(" + from + ")[i]";
      text.line("        ", load ? row : own, " = ", load ? own : row, ";");
      continue;
    }
    const std::string column = items.columnOf(dims);
    const std::string channel = dims[0] == column ? dims[1] : dims[0];
    const int channels = kernel.held(channel), columns = kernel.held(column);
    const std::string shape = heldType(dims) + ", " + std::to_string(channels) + ">";
    const bool isColumnFirst = kernel.recordColumns.at({dims.begin(), dims.end()}) != column;
    const std::string strides = ", " + std::to_string(isColumnFirst ? 1 : columns) + ", " +
                                std::to_string(isColumnFirst ? channels : 1) + ", " +
                                std::to_string(columns) + ", at);";
    const std::string registers = "s" + std::to_string(state);
    text.line("      ", load ? "load" : "store", "Held<", shape, "(", load ? registers : from, ", ",
              load ? from : registers, strides);
  }
  text.line("      __syncthreads();");
  text.line("    }");
}

void SweepWriter::writeCarry(Text& text) const {
  text.line("    __device__ __forceinline__ void carryRows(const Place& at) {");
  for (int state : sweep.states) {
    if (kernel.plan.operands[state].dims.size() > 1)
      continue;
    const int value = graph.carried.at(state);
    text.line("      {");
    text.line("        float* row = at.rowsAt(", rowOffsets.at(value), ");");
    text.line("        for (int i = at.thread; i < ", kernel.held(graph.values[value].dims),
              "; i += kThreads)");
    text.line("          row[i] = row[at.rows * ", pitch(value), " + i];");
    text.line("      }");
  }
  text.line("    }");
}

void SweepWriter::writePointers(Text& text) const {
  for (auto [value, offset] : rowOffsets)
    text.line("      float* const v", value, " = at.rowsAt(", offset, ");");
  for (auto [value, offset] : partialOffsets)
    text.line("      float* const p", value, " = at.rowsAt(", offset, ");");
}

void SweepWriter::writeAdvance(Text& text) {
  text.line("    __device__ __forceinline__ void advance(const Place& at, Inputs& inputs) {");
  text.line("      [[maybe_unused]] const Args& args = at.args;");
  text.line("      [[maybe_unused]] const int firstColumn = at.tile * kBlockV;");
  text.line("      Inputs next;");
  writePointers(text);
  for (std::size_t level = 0; level < schedule.levels.size(); ++level) {
    for (const Stage& stage : schedule.levels[level])
      writeStage(text, stage);
    if (level == 0)
      text.line("      next.load(at.ahead<kBlock>());");
    text.line("      __syncthreads();");
  }
  text.line("      inputs = next;");
  text.line("    }");
}

void SweepWriter::writeStage(Text& text, const Stage& stage) {
  if (stage.isLoop && stage.phases.size() == 1 && !stage.barrierAfterToken) {
    for (const Group& group : stage.phases[0])
      writeTokenLoop(text, group);
    return;
  }
  if (stage.isLoop) {
    text.line("#pragma unroll 1");
    text.line("      for (int r = 0; r < at.rows; ++r) {");
    writeToken(text);
  }
  for (std::size_t phase = 0; phase < stage.phases.size(); ++phase) {
    int turn = 0;
    for (const Group& group : stage.phases[phase])
      writeGroup(text, group, stage.isLoop, turn++);
    if (phase + 1 < stage.phases.size() || stage.barrierAfterToken)
      text.line("        __syncthreads();");
  }
  if (stage.isLoop)
    text.line("      }");
}

void SweepWriter::writeToken(Text& text) const {
  text.line("          [[maybe_unused]] const int t = at.token<", sweep.reverse ? "true" : "false",
            ">(r);");
}

/// A loop without barriers. A pass takes several tokens at a time, so that their sums go through
/// the lanes together.
void SweepWriter::writeTokenLoop(Text& text, const Group& group) {
  constexpr int together = 4;
  text.line("      {\n      int r = 0;");
  const bool hasParts = std::any_of(group.items.begin(), group.items.end(), [&](int item) {
    return items.items[item].what == Item::What::partial;
  });
  if (group.how == Item::How::pass && !hasParts && kernel.tile.block >= 2 * together) {
    text.line("#pragma unroll 1");
    text.line("      for (; r + ", together, " <= at.rows; r += ", together, ") {");
    writePass(text, group, together);
    text.line("      }");
  }
  text.line("#pragma unroll 1");
  text.line("      for (; r < at.rows; ++r) {");
  writeToken(text);
  writeGroup(text, group, true, 0);
  text.line("      }\n      }");
}

void SweepWriter::writeGroup(Text& text, const Group& group, bool isLoop, int turn) {
  switch (group.how) {
  case Item::How::elements:
    return writeElements(text, group, isLoop);
  case Item::How::row:
    return writeRows(text, group, isLoop, turn);
  case Item::How::pass:
    return writePass(text, group, 1);
  }
}

}  // namespace lathe::cuda
