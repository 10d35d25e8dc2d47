// Inputs that a sweep loads a block of tokens ahead, so that it does not wait for memory.
#include "compiler/cuda/GeneralEmitter.h"

#include <algorithm>

namespace lathe::cuda {

/// Elements of a group that one thread computes for a block of tokens.
int SweepWriter::roundsOf(const Dims& space) const {
  const int threads = kernel.threads();
  return (kernel.tile.block * kernel.held(space) + threads - 1) / threads;
}

/// Inputs that an expression reads element by element.
void SweepWriter::addInputs(int index, const Dims& space, std::set<int>& inputs) const {
  const Value& value = graph.values[index];
  if (value.kind == Node::Kind::operand) {
    const Operand& operand = kernel.plan.operands[value.operand];
    if (operand.kind == Operand::Kind::input && operand.dims == space)
      inputs.insert(value.operand);
  } else if (value.isMap()) {
    for (int arg : value.args)
      if (!items.isRow(arg) && !sweep.given.count(arg))
        addInputs(arg, space, inputs);
  }
}

std::set<int> SweepWriter::inputsOf(const Group& group) const {
  std::set<int> inputs;
  for (int index : group.items) {
    const Item& item = items.items[index];
    const bool isRead = item.what == Item::What::value
                            ? sweep.given.count(item.value) == 0
                            : item.what != Item::What::whole && !items.isRow(item.value) &&
                                  !sweep.given.count(item.value);
    if (isRead)
      addInputs(item.value, group.space, inputs);
  }
  return inputs;
}

void SweepWriter::placeInputs() {
  constexpr int mostRounds = 4, mostRegisters = 32;
  int registers = 0;
  for (const auto& level : schedule.levels)
    for (const Stage& stage : level)
      for (const auto& phase : stage.phases)
        for (const Group& group : phase) {
          const int rounds = roundsOf(group.space);
          if (stage.isLoop || group.how != Item::How::elements || rounds > mostRounds)
            continue;
          for (int input : inputsOf(group))
            if (!ahead.count(input) && registers + rounds <= mostRegisters) {
              ahead.insert(input);
              registers += rounds;
            }
        }
}

void SweepWriter::writeInputs(Text& text) {
  text.line("    struct Inputs {");
  Text loads;
  for (int input : ahead) {
    const Operand& operand = kernel.plan.operands[input];
    const std::string type = cudaType(kernel.signature.dtypes[input]);
    const int rounds = roundsOf(operand.dims), count = kernel.held(operand.dims);
    text.line("      ", type, " in", input, "[", rounds, "];  // ", operand.name);
    loads.line("#pragma unroll");
    loads.line("        for (int k = 0; k < ", rounds, "; ++k) {");
    loads.line("          const int e = at.thread + k * kThreads, r = e / ", count, ";");
    writeToken(loads);
    Scope scope{loads, {}};
    writeIndices(scope, operand.dims);
    const std::string exists = condition(scope, operand.dims);
    loads.line("          in", input, "[k] = e < at.rows * ", count,
               exists.empty() ? "" : " && " + exists, " ? ", element(scope, input), " : ", type,
               "();");
    loads.line("        }");
  }
  text.line("      __device__ __forceinline__ void load(const Place& at) {");
  text.line("        [[maybe_unused]] const int firstColumn = at.tile * kBlockV;");
  text.append(loads);
  text.line("      }");
  text.line("    };");
}

}  // namespace lathe::cuda
