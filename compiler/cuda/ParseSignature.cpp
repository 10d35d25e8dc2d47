#include "compiler/cuda/ParseSignature.h"

#include "compiler/plan/Dims.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <stdexcept>

namespace lathe {

static std::string lacks(const Plan& plan, const std::string& what, const std::string& name) {
  return "variant " + plan.variant + " has no " + what + " '" + name + "'";
}

std::vector<std::string> splitList(const std::string& text) {
  std::string spaced = text;
  std::replace(spaced.begin(), spaced.end(), ',', ' ');
  std::istringstream words(spaced);
  std::vector<std::string> parts;
  for (std::string word; words >> word;)
    parts.push_back(word);
  return parts;
}

std::int64_t parseCount(std::string_view text) {
  std::int64_t number = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && rest == text.data() + text.size()
             ? std::max<std::int64_t>(number, 0)
             : 0;
}

std::string joinWords(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::map<std::string, int> parseSizes(const std::string& text, const Plan& plan,
                                      std::map<std::string, int> sizes) {
  constexpr int largest = 1 << 20;
  for (const std::string& part : splitList(text)) {
    const std::size_t equals = part.find('=');
    const std::string dim = part.substr(0, equals);
    const std::int64_t size =
        equals == std::string::npos ? 0 : parseCount(std::string_view(part).substr(equals + 1));
    if (size < 1 || size > largest)
      throw std::invalid_argument("'" + part + "' is no size; write K=128,V=64");
    if (std::find(plan.dims.begin(), plan.dims.end(), dim) == plan.dims.end())
      throw std::invalid_argument(lacks(plan, "dimension", dim) + "; it has " +
                                  joinWords(plan.dims));
    sizes[dim] = static_cast<int>(size);
  }
  return completeDims(plan.variant, plan.rules, std::move(sizes));
}

DType parseDType(const std::string& text) {
  for (DType dtype : {DType::bf16, DType::f16, DType::f32})
    if (text == name(dtype))
      return dtype;
  throw std::invalid_argument("'" + text + "' is no dtype; accepted are bf16, f16 and f32");
}

Signature parseDTypes(const std::string& text, const Plan& plan, DType usual) {
  Signature signature;
  signature.compute = usual;
  std::map<std::string, DType> exceptions;
  for (const std::string& part : splitList(text)) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      signature.compute = parseDType(part);
    else
      exceptions[part.substr(0, equals)] = parseDType(part.substr(equals + 1));
  }
  for (const Operand& operand : plan.operands) {
    const bool isStream =
        operand.kind == Operand::Kind::input || operand.kind == Operand::Kind::output;
    DType dtype = isStream ? signature.compute : DType::f32;
    if (auto found = exceptions.find(operand.name); found != exceptions.end()) {
      dtype = found->second;
      exceptions.erase(found);
    }
    signature.dtypes.push_back(dtype);
  }
  if (!exceptions.empty())
    throw std::invalid_argument(lacks(plan, "operand", exceptions.begin()->first));
  return signature;
}

}  // namespace lathe
