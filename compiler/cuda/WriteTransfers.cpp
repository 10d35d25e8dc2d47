#include "compiler/cuda/TokenEmitter.h"

namespace lathe::cuda {

/// A state between its registers and memory: initial value in, final value out.
void TokenEmitter::writeTransfer(Text& text, bool load) const {
  using Role = KernelSource::Slot::Role;
  for (int i = 0; i < int(plan.operands.size()); ++i) {
    const Operand& state = plan.operands[i];
    if (state.kind != Operand::Kind::state)
      continue;
    bool keyed = hasKey(state.dims), spread = hasValue(state.dims);
    bool keyFirst = keyed && state.dims[0] == axes.key;
    std::string name = "s" + std::to_string(i), type = cudaType(signature.dtypes[i]);
    std::string first = "tensor.token", second = "tensor.inner";
    if (state.dims.size() < 2)
      second = "0";
    text.line("    {");
    text.line("      const Tensor& tensor = args.tensors[",
              tensorIndex(kernel.tensors, i, load ? Role::initial : Role::final), "];");
    std::string data = "tensor.stateAt<" + type + ">(sequence, head)";
    if (!load)
      data = target(i) + " == kNowhere ? nullptr : static_cast<" + type + "*>(tensor.data) + " +
             target(i);
    text.line("      const StateView<", type, "> view{", data, ", ", keyFirst ? first : second,
              ", ", keyFirst ? second : first, "};");
    if (keyed && spread) {
      if (load)
        text.line("      loadState<kV>(", name, ", view, column, channels);");
      else
        text.line("      if (view)\n        storeState<kV>(view, ", name, ", column, channels);");
    } else {
      // Whatever lacks a dimension is held by all lanes along it, and written by the first.
      std::string inside = keyed ? "channels.inside(i)" : spread ? "column + c < kV" : "true";
      std::string owner = keyed    ? "column == 0"
                          : spread ? "channels.part == 0"
                                   : "column == 0 && channels.part == 0";
      std::string place = std::string("view(") + (keyed ? "channels[i]" : "0") + ", " +
                          (spread ? "column + c" : "0") + ")";
      loops(text, state.dims);
      if (load)
        text.line("        ", element(name, state.dims), " = view && ", inside, " ? toFloat(",
                  place, ") : 0.0f;");
      else
        text.line("        if (view && ", owner, " && ", inside, ")\n          ", place,
                  " = fromFloat<", type, ">(", element(name, state.dims), ");");
    }
    text.line("    }");
  }
}

/// The operands that a kernel writes.
std::vector<int> TokenEmitter::written() const {
  std::vector<int> result;
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::state ||
        plan.operands[i].kind == Operand::Kind::output)
      result.push_back(i);
  return result;
}

std::string TokenEmitter::target(int operand) const {
  std::vector<int> all = written();
  auto place = std::find(all.begin(), all.end(), operand) - all.begin();
  return "reinterpret_cast<const int64*>(shared + kTargetOffset)[" + std::to_string(place) + "]";
}

/// Where results go is found out while what was asked for is on its way, and kept in shared memory.
void TokenEmitter::writeAim(Text& text) const {
  using Role = KernelSource::Slot::Role;
  text.line("    static __device__ __forceinline__ void aim(const Args& args, char* shared, const "
            "Sequence& sequence, int head) {");
  text.line("      int64* targets = reinterpret_cast<int64*>(shared + kTargetOffset);");
  int place = 0;
  for (int i : written()) {
    bool state = plan.operands[i].kind == Operand::Kind::state;
    int index = tensorIndex(kernel.tensors, i, state ? Role::final : Role::operand);
    std::string tensor = "args.tensors[" + std::to_string(index) + "]";
    text.line("      targets[", place++, "] = ");
    if (state)
      text.line("          ", tensor, ".data && sequence.slot >= 0 ? ", tensor,
                ".stateOffset(sequence, head) : kNowhere;  // ", plan.operands[i].name);
    else
      text.line("          ", tensor, ".offset(sequence, head);  // ", plan.operands[i].name);
  }
  text.line("    }");
}

void TokenEmitter::writeState(Text& text) {
  text.line("  struct State {");
  text.line("    int local, column, turn;");
  text.line("    Channels<kK, kSplitK, kLength> channels;");
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::state)
      declare(text, "s" + std::to_string(i), plan.operands[i].dims);
  text.line("    __device__ __forceinline__ void load(const Args& args, const Sequence& sequence, "
            "int head) {");
  writeTransfer(text, true);
  text.line("    }");
  writeAim(text);
  text.line("    __device__ __forceinline__ void store(const Args& args, char* shared) {");
  writeTransfer(text, false);
  text.line("    }");
  writeAdvance(text);
  writeSkip(text);
  text.line("  };");
}

/// The outputs of a row that only fills a batch up.
void TokenEmitter::writeSkip(Text& text) const {
  text.line(
      "    __device__ __forceinline__ void skip(const Args& args, char* shared, int position) {");
  for (int i = 0; i < int(plan.operands.size()); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      writeOutput(text, i, "0.0f");
  text.line("    }");
}

void TokenEmitter::writeOutput(Text& text, int operand, const std::string& value) const {
  const Operand& output = plan.operands[operand];
  std::string tensor = "args.tensors[" + std::to_string(tensorIndex(kernel.tensors, operand)) + "]";
  std::string type = cudaType(signature.dtypes[operand]);
  if (output.dims.size() > 1)
    throw std::invalid_argument("variant '" + plan.variant + "': output '" + output.name +
                                "' spans two dimensions; kernels write one");
  text.line("    {");
  text.line("      ", type, "* row = static_cast<", type, "*>(", tensor, ".data) + ",
            target(operand), " + position * ", tensor, ".token;");
  declare(text, "y", output.dims);
  loops(text, output.dims);
  text.line("      ", element("y", output.dims), " = ", value, ";");
  if (output.dims.empty()) {
    text.line("      if (column == 0 && channels.part == 0)\n        row[0] = fromFloat<", type,
              ">(y);");
  } else if (axes.isValue(output.dims)) {
    text.line("      if (channels.part == 0)\n        storeNeighbours(row + column, y, kV - "
              "column);");
  } else {
    text.line("#pragma unroll\n    for (int i = 0; i < kLength; ++i)");
    text.line("        if (column == 0 && channels.inside(i))\n          row[channels[i]] = "
              "fromFloat<",
              type, ">(y[i]);");
  }
  text.line("    }");
}

}  // namespace lathe::cuda
