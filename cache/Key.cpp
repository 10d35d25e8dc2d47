#include "cache/Key.h"

#include "cache/Sha256.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace lathe {

namespace {

/// Both spellings of one option, as NVRTC's documentation lists them.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> shortSpellings = {{
    {"-arch", "--gpu-architecture"},
    {"-std", "--std"},
    {"-lineinfo", "--generate-line-info"},
    {"-maxrregcount", "--maxrregcount"},
    {"-use_fast_math", "--use_fast_math"},
    {"-Xptxas", "--ptxas-options"},
}};

constexpr std::array<std::string_view, 9> outsideFiles = {
    "-I",        "--include-path", "-include",  "--pre-include", "--pch",
    "--use-pch", "--create-pch",   "--pch-dir", "--time"};

std::string_view trim(std::string_view text) {
  std::size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

std::string_view optionName(std::string_view option) { return option.substr(0, option.find('=')); }

void refuseOutsideFiles(std::string_view option) {
  std::string_view name = optionName(option);
  bool joinedPath = option.starts_with("-I");
  if (joinedPath || std::find(outsideFiles.begin(), outsideFiles.end(), name) != outsideFiles.end())
    throw std::invalid_argument("option '" + std::string(option) +
                                "' cannot be part of a cache key: it reads or writes files whose "
                                "content the key does not see; give one source without includes");
}

}  // namespace

std::vector<std::string> normaliseOptions(const std::vector<std::string>& options) {
  std::vector<std::string> result;
  for (const std::string& given : options) {
    std::string_view option = trim(given);
    if (option.empty())
      continue;
    refuseOutsideFiles(option);
    std::string_view name = optionName(option);
    std::string normal(option);
    for (auto [brief, full] : shortSpellings)
      if (name == brief)
        normal = std::string(full) + std::string(option.substr(name.size()));
    // The last of two equal options is the one that counts.
    std::erase(result, normal);
    result.push_back(std::move(normal));
  }
  std::stable_sort(result.begin(), result.end(), [](const std::string& a, const std::string& b) {
    return optionName(a) < optionName(b);
  });
  return result;
}

Key makeKey(std::string_view source, const std::vector<std::string>& options,
            std::string_view compiler) {
  Key key;
  key.text = "lathe kernel key, schema " + std::to_string(cacheSchema) + "\n";
  key.text.append("compiler ").append(compiler).append("\n");
  for (const std::string& option : normaliseOptions(options))
    key.text.append("option ").append(option).append("\n");
  key.text.append("source ").append(std::to_string(source.size())).append(" bytes\n");
  key.text.append(source);
  key.hex = sha256Hex(key.text);
  return key;
}

bool isKeyHex(std::string_view hex) {
  return hex.size() == 64 && hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace lathe
