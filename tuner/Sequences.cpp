#include "tuner/Sequences.h"

#include <algorithm>

namespace lathe {

namespace {

/// Elements of one index of the axes from `axis` on.
std::int64_t countFrom(const std::vector<std::int64_t>& shape, std::size_t axis) {
  std::int64_t count = 1;
  for (; axis < shape.size(); ++axis)
    count *= shape[axis];
  return count;
}

/// Where the tokens of a sequence begin in a tensor of inputs or outputs.
std::int64_t offsetOf(const HostTensor& tensor, const HostSequence& sequence) {
  return (sequence.batch * tensor.shape[1] + sequence.first) * countFrom(tensor.shape, 2);
}

HostTensor tokensOf(const HostTensor& tensor, const HostSequence& sequence) {
  HostTensor own{tensor.shape, {}};
  own.shape[0] = 1;
  own.shape[1] = sequence.tokens;
  const auto begin = tensor.data.begin() + offsetOf(tensor, sequence);
  own.data.assign(begin, begin + countFrom(own.shape, 0));
  return own;
}

HostTensor rowOf(const HostTensor& states, std::int64_t row) {
  HostTensor own{states.shape, {}};
  own.shape[0] = 1;
  const std::int64_t count = countFrom(own.shape, 0);
  own.data.assign(states.data.begin() + row * count, states.data.begin() + (row + 1) * count);
  return own;
}

HostTensor zeros(const Operand& operand, const std::map<std::string, int>& dims,
                 std::vector<std::int64_t> leading) {
  HostTensor tensor{std::move(leading), {}};
  for (const std::string& dim : operand.dims)
    tensor.shape.push_back(dims.at(dim));
  tensor.data.assign(countFrom(tensor.shape, 0), 0.0);
  return tensor;
}

}  // namespace

HostSequence sequenceAt(const HostCall& call, const Shape& shape, std::int64_t index) {
  HostSequence sequence{index, 0, shape.tokens, index};
  if (!call.cuSeqlens.empty()) {
    sequence.batch = 0;
    sequence.first = call.cuSeqlens[index];
    sequence.tokens = call.cuSeqlens[index + 1] - sequence.first;
  }
  if (!call.slots.empty())
    sequence.slot = call.slots[index];
  return sequence;
}

HostCall callOf(const Plan& plan, const HostCall& call, const HostSequence& sequence) {
  HostCall own;
  for (const Operand& operand : plan.operands) {
    if (operand.kind == Operand::Kind::input)
      own.tensors[operand.name] = tokensOf(call.tensors.at(operand.name), sequence);
    if (operand.kind == Operand::Kind::param)
      own.tensors[operand.name] = call.tensors.at(operand.name);
  }
  if (sequence.slot >= 0)
    for (const auto& [name, states] : call.initial)
      own.initial[name] = rowOf(states, sequence.slot);
  return own;
}

HostResult resultOf(const HostResult& result, const HostSequence& sequence) {
  HostResult own;
  for (const auto& [name, tensor] : result.outputs)
    own.outputs[name] = tokensOf(tensor, sequence);
  if (sequence.slot >= 0)
    for (const auto& [name, states] : result.states)
      own.states[name] = rowOf(states, sequence.slot);
  return own;
}

HostResult runSequences(const Plan& plan, const std::map<std::string, int>& dims,
                        const Shape& shape, const HostCall& call,
                        const std::function<HostResult(const HostCall&)>& run) {
  if (call.cuSeqlens.empty() && call.slots.empty())
    return run(call);
  HostResult all;
  for (const Operand& operand : plan.operands) {
    if (operand.kind == Operand::Kind::output)
      all.outputs[operand.name] = zeros(operand, dims, {shape.batch, shape.tokens, shape.heads});
    if (operand.kind == Operand::Kind::state)
      all.states[operand.name] = zeros(operand, dims, {call.stateRows(shape), shape.heads});
  }
  for (std::int64_t i = 0; i < call.sequences(shape); ++i) {
    const HostSequence sequence = sequenceAt(call, shape, i);
    const HostResult own = run(callOf(plan, call, sequence));
    for (const auto& [name, tensor] : own.outputs) {
      HostTensor& target = all.outputs.at(name);
      std::copy(tensor.data.begin(), tensor.data.end(),
                target.data.begin() + offsetOf(target, sequence));
    }
    if (sequence.slot >= 0)
      for (const auto& [name, tensor] : own.states)
        std::copy(tensor.data.begin(), tensor.data.end(),
                  all.states.at(name).data.begin() +
                      sequence.slot * std::int64_t(tensor.data.size()));
  }
  return all;
}

}  // namespace lathe
