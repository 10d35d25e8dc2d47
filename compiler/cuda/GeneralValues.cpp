// The code of values: names and expressions at the indices of a scope.
#include "compiler/cuda/GeneralEmitter.h"

#include <cmath>
#include <stdexcept>

namespace lathe::cuda {

using Kind = Node::Kind;
using Role = KernelSource::Slot::Role;

std::string SweepWriter::name() { return "x" + std::to_string(names++); }

std::string SweepWriter::keyOf(const Scope& scope, int value) const {
  std::string key;
  for (const std::string& dim : graph.values[value].dims)
    key += scope.at.at(dim) + ",";
  return key;
}

std::string SweepWriter::value(Scope& scope, int index) {
  const Value& value = graph.values[index];
  if (graph.isUniform(index))
    return uniform(index);
  auto known = scope.known.find({index, keyOf(scope, index)});
  if (known != scope.known.end())
    return known->second;
  const bool isState = value.kind == Kind::state && !sweep.given.count(index);
  if (isState && value.isWide())
    throw std::logic_error("a state is read outside the pass that holds it");
  std::string code;
  if (isState)
    code = row(scope, graph.carried.at(value.operand), 0);
  else if (items.isRow(index))
    code = row(scope, index, graph.carrierOf(index) >= 0);
  else
    return define(scope, index);
  const std::string own = name();
  scope.text.line("          const float ", own, " = ", code, ";");
  return scope.known[{index, keyOf(scope, index)}] = own;
}

/// Computes a value anew, whether it has a row or not.
std::string SweepWriter::define(Scope& scope, int index) {
  const std::string text = code(scope, index), own = name();
  const std::string& variable = graph.values[index].name;
  scope.text.line("          const float ", own, " = ", text, ";",
                  graph.values[index].kind == Kind::operand && variable.empty()
                      ? "  // " + kernel.plan.operands[graph.values[index].operand].name
                      : std::string());
  return scope.known[{index, keyOf(scope, index)}] = own;
}

std::string SweepWriter::code(Scope& scope, int index) {
  const Value& value = graph.values[index];
  if (sweep.given.count(index))
    return recorded(scope, index);
  if (graph.carrierOf(index) >= 0)
    return this->value(scope, value.args[0]);
  switch (value.kind) {
  case Kind::operand:
    return load(scope, value.operand);
  case Kind::position:
    return "float(t)";
  case Kind::index:
    return "float(" + std::string(value.name == kernel.spread ? "firstColumn + " : "") +
           scope.at.at(value.name) + ")";
  case Kind::map: {
    std::vector<std::string> arguments;
    for (int arg : value.args)
      arguments.push_back(this->value(scope, arg));
    return mapCode(value.op, arguments);
  }
  case Kind::sum:
  case Kind::max:
  case Kind::contract:
    return reduction(scope, index);
  case Kind::rotate:
    return rotated(scope, index);
  case Kind::taylor:
    return taylor(scope, index);
  case Kind::taylorAdjoint:
    return taylorAdjoint(scope, index);
  default:
    throw std::logic_error("the general form has no code for a value of kind " +
                           std::to_string(int(value.kind)));
  }
}

/// What a reduction adds up.
std::string SweepWriter::term(Scope& scope, int index) {
  const Value& value = graph.values[index];
  const std::string first = this->value(scope, value.args[0]);
  return value.kind == Kind::contract ? first + " * " + this->value(scope, value.args[1]) : first;
}

/// A reduction within one thread.
std::string SweepWriter::reduction(Scope& scope, int index) {
  const Value& value = graph.values[index];
  const std::string sum = name(), along = name();
  scope.text.line("          float ", sum, " = ", isLargest(index) ? literal(-INFINITY) : "0.0f",
                  ";");
  scope.text.line("#pragma unroll 4");
  scope.text.line("          for (int ", along, " = 0; ", along, " < ", kernel.held(value.name),
                  "; ++", along, ") {");
  Scope inner = scope;
  inner.at[value.name] = along;
  const std::string next = term(inner, index);
  scope.text.line("          ", sum, " = combine<", isLargest(index) ? "true" : "false", ">(", sum,
                  ", ", next, ");");
  scope.text.line("          }");
  return sum;
}

/// The halves along a dimension exchanged: (x1, x2) to (-x2, x1).
std::string SweepWriter::rotated(Scope& scope, int index) {
  const Value& value = graph.values[index];
  const std::string half = std::to_string(kernel.size(value.name) / 2);
  const std::string i = scope.at.at(value.name), other = name();
  scope.text.line("          const int ", other, " = ", i, " < ", half, " ? ", i, " + ", half,
                  " : ", i, " - ", half, ";");
  scope.at[value.name] = other;
  const std::string x = this->value(scope, value.args[0]);
  scope.at[value.name] = i;
  return "(" + i + " < " + half + " ? -" + x + " : " + x + ")";
}

/// 1, x_i, then x_i x_j / sqrt(2) row by row.
std::string SweepWriter::taylor(Scope& scope, int index) {
  const Value& value = graph.values[index];
  const int size = kernel.size(value.name);
  std::string feature, features;
  for (const std::string& dim : value.dims)
    if (!has(graph.values[value.args[0]].dims, dim))
      features = dim;
  feature = scope.at.at(features);
  const std::string pair = name(), first = name(), second = name();
  scope.text.line("          const int ", pair, " = ", feature, " - ", 1 + size, ";");
  scope.text.line("          const int ", first, " = ", pair, " < 0 ? max(", feature,
                  " - 1, 0) : ", pair, " / ", size, ";");
  scope.text.line("          const int ", second, " = ", pair, " < 0 ? 0 : ", pair, " % ", size,
                  ";");
  auto element = [&](const std::string& i) {
    scope.at[value.name] = i;
    std::string x = this->value(scope, value.args[0]);
    scope.at.erase(value.name);
    return x;
  };
  const std::string x = element(first), y = element(second);
  return feature + " == 0 ? 1.0f : " + pair + " < 0 ? " + x + " : " + x + " * " + y + " * " +
         literal(std::sqrt(0.5));
}

/// d_{1+i} + sum_j (d_ij + d_ji) x_j / sqrt(2), d the gradient of the features of x.
std::string SweepWriter::taylorAdjoint(Scope& scope, int index) {
  const Value& value = graph.values[index];
  const int size = kernel.size(value.name);
  std::string features;
  for (const std::string& dim : graph.values[value.args[1]].dims)
    if (!has(value.dims, dim))
      features = dim;
  const std::string sum = name(), j = name(), i = scope.at.at(value.name);
  auto feature = [&](Scope& own, const std::string& at) {
    own.at[features] = at;
    std::string x = this->value(own, value.args[1]);
    own.at.erase(features);
    return x;
  };
  auto pair = [&](const std::string& a, const std::string& b) {
    return std::to_string(1 + size) + " + " + a + " * " + std::to_string(size) + " + " + b;
  };
  scope.text.line("          float ", sum, " = 0.0f;");
  scope.text.line("#pragma unroll 4");
  scope.text.line("          for (int ", j, " = 0; ", j, " < ", size, "; ++", j, ") {");
  Scope inner = scope;
  inner.at[value.name] = j;
  const std::string x = this->value(inner, value.args[0]);
  const std::string first = feature(inner, pair(i, j)), second = feature(inner, pair(j, i));
  scope.text.line("          ", sum, " += (", first, " + ", second, ") * ", x, ";");
  scope.text.line("          }");
  const std::string linear = feature(scope, "1 + " + i);
  return linear + " + " + sum + " * " + literal(std::sqrt(0.5));
}

/// The same for every token and head: constants that the compiler folds.
std::string SweepWriter::uniform(int index) const {
  const Value& value = graph.values[index];
  switch (value.kind) {
  case Kind::constant:
    return literal(value.value);
  case Kind::dimension:
    return literal(kernel.size(value.name));
  case Kind::override_:
    for (std::size_t i = 0; i < kernel.constants.size(); ++i)
      if (kernel.constants[i] == value.operand)
        return "args.constants[" + std::to_string(i) + "]";
    throw std::logic_error("a const is not among the kernel's constants");
  default: {
    std::vector<std::string> arguments;
    for (int arg : value.args)
      arguments.push_back(uniform(arg));
    return "(" + mapCode(value.op, arguments) + ")";
  }
  }
}

/// That every index is within its dimension; empty where that is sure.
std::string SweepWriter::condition(const Scope& scope, const Dims& dims) const {
  std::string all;
  for (const std::string& dim : dims) {
    auto limit = scope.limits.find(dim);
    if (limit == scope.limits.end())
      continue;
    if (!all.empty())
      all += " && ";
    if (dim == kernel.spread)
      all += "firstColumn + ";
    all += scope.at.at(dim) + " < " + std::to_string(limit->second);
  }
  return all;
}

/// The place of an element, the last dimension fastest: in what a block holds, or in all of it.
std::string SweepWriter::offset(const Scope& scope, const Dims& dims, bool isHeld) const {
  std::string place;
  for (const std::string& dim : dims) {
    const std::string i = !isHeld && dim == kernel.spread
                              ? "(firstColumn + " + scope.at.at(dim) + ")"
                              : scope.at.at(dim);
    const int size = isHeld ? kernel.held(dim) : kernel.size(dim);
    if (!place.empty())
      place.insert(0, "(").append(") * ").append(std::to_string(size)).append(" + ");
    place += i;
  }
  return place.empty() ? "0" : place;
}

/// Where an element of an input or param is.
std::string SweepWriter::element(const Scope& scope, int index) const {
  const Operand& operand = kernel.plan.operands[index];
  const std::string tensor = kernel.tensor(index, Role::operand),
                    type = cudaType(kernel.signature.dtypes[index]);
  const std::string row = operand.kind == Operand::Kind::param
                              ? tensor + ".at<const " + type + ">(0, at.head)"
                              : "(" + tensor + ".at<const " + type +
                                    ">(at.sequence, at.head) + int64(t) * " + tensor + ".token)";
  return row + "[" + offset(scope, operand.dims, false) + "]";
}

std::string SweepWriter::load(Scope& scope, int index) const {
  const std::string place = element(scope, index);
  if (auto loaded = scope.loaded.find(place); loaded != scope.loaded.end())
    return "toFloat(" + loaded->second + ")";
  const std::string exists = condition(scope, kernel.plan.operands[index].dims);
  return exists.empty() ? "toFloat(" + place + ")" : exists + " ? toFloat(" + place + ") : 0.0f";
}

std::string SweepWriter::recorded(Scope& scope, int index) const {
  const Dims& dims = graph.values[index].dims;
  std::string exists;
  for (const std::string& dim : dims)
    if (scope.limits.count(dim))
      exists += (exists.empty() ? "" : " && ") + scope.at.at(dim) + " < " +
                std::to_string(kernel.held(dim));
  const std::string element = "record(at, t)[" + std::to_string(kernel.record.at(index)) + " + " +
                              offset(scope, kernel.recordDims(index), true) + "]";
  return exists.empty() ? element : exists + " ? " + element + " : 0.0f";
}

/// An element of a value's row, `ahead` tokens after that of the scope.
std::string SweepWriter::row(const Scope& scope, int index, int ahead) const {
  const Dims& dims = graph.values[index].dims;
  std::string place = ahead ? "(r + " + std::to_string(ahead) + ")" : "r";
  if (int length = pitch(index); length > 1)
    place += " * " + std::to_string(length);
  if (!dims.empty())
    place += " + " + scope.at.at(dims[0]);
  return "v" + std::to_string(index) + "[" + place + "]";
}

}  // namespace lathe::cuda
