// The parts of a Variant that both forms of the scan family write: states and outputs in memory.
#include "compiler/cuda/Families.h"

namespace lathe::cuda {

void writeNumberedTypes(Text& text, const char* name, const Signature& signature,
                        const std::vector<int>& operands) {
  text.line("template <int I> struct ", name, ";");
  for (size_t i = 0; i < operands.size(); ++i)
    text.line("template <> struct ", name, "<", i,
              "> { using Type = ", cudaType(signature.dtypes[operands[i]]), "; };");
}

void writeStateAccess(Text& text, const std::vector<KernelSource::Slot>& slots,
                      const std::vector<int>& states, bool keyFirst) {
  using Role = KernelSource::Slot::Role;
  text.line("  template <int I> using State = typename StateType<I>::Type;");
  auto pointer = [&](const char* name, Role role) {
    std::string place;
    for (std::size_t i = 0; i < states.size(); ++i)
      place += (i + 1 < states.size() ? "I == " + std::to_string(i) + " ? " : std::string()) +
               std::to_string(tensorIndex(slots, states[i], role)) +
               (i + 1 < states.size() ? " : " : "");
    text.line("  template <int I> static __device__ __forceinline__ StateView<State<I>> ", name,
              "(const Args& args, const Sequence& sequence, int head) {");
    text.line("    const Tensor& tensor = args.tensors[", place, "];");
    text.line("    State<I>* data = tensor.stateAt<State<I>>(sequence, head);");
    text.line("    return {data, ",
              keyFirst ? "tensor.token, tensor.inner" : "tensor.inner, tensor.token", "};");
    text.line("  }");
  };
  pointer("initialState", Role::initial);
  pointer("finalState", Role::final);
}

void writeOutputAccess(Text& text, const std::vector<KernelSource::Slot>& slots,
                       const std::vector<int>& outputs) {
  text.line("  template <int I> using Output = typename OutputType<I>::Type;");
  text.line("  template <int I> static __device__ __forceinline__ const Tensor& outputTensor(const "
            "Args& args) {");
  for (size_t i = 0; i < outputs.size(); ++i)
    text.line("    if constexpr (I == ", i, ") return args.tensors[",
              tensorIndex(slots, outputs[i]), "];");
  text.line("  }");
}

}  // namespace lathe::cuda
