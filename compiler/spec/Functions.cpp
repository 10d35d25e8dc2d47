#include "compiler/spec/Functions.h"

#include <algorithm>
#include <array>

namespace lathe::spec {

namespace {

using enum Function::Typing;

constexpr std::array<Function, 23> table = {{
    {"exp", 1, elementwise, "exp(x)"},
    {"log", 1, elementwise, "log(x)"},
    {"sigmoid", 1, elementwise, "sigmoid(x)"},
    {"logsigmoid", 1, elementwise, "logsigmoid(x)"},
    {"softplus", 1, elementwise, "softplus(x)"},
    {"tanh", 1, elementwise, "tanh(x)"},
    {"sin", 1, elementwise, "sin(x)"},
    {"cos", 1, elementwise, "cos(x)"},
    {"relu", 1, elementwise, "relu(x)"},
    {"silu", 1, elementwise, "silu(x)"},
    {"elu", 1, elementwise, "elu(x)"},
    {"abs", 1, elementwise, "abs(x)"},
    {"sqrt", 1, elementwise, "sqrt(x)"},
    {"rsqrt", 1, elementwise, "rsqrt(x)"},
    {"min", 2, elementwise, "min(x, y)"},
    {"max", 2, elementwise, "max(x, y)"},
    {"clamp", 3, elementwise, "clamp(x, low, high)"},
    {"l2norm", 1, featureMap, "l2norm(x)"},
    {"rmsnorm", 1, featureMap, "rmsnorm(x)"},
    {"softmax", 1, featureMap, "softmax(x)"},
    {"sum", 1, reduction, "sum(x)"},
    {"rope", 1, featureMap, "rope(x)"},
    {"taylor2", 1, derivation, "taylor2(x)"},
}};

}  // namespace

std::span<const Function> functions() { return table; }

const Function* findFunction(std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Function& function) { return function.name == name; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace lathe::spec
