#include "runtime/Nvrtc.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <sstream>

namespace lathe {

namespace {

/// 90 of "sm_90a"; 0 where the text is no architecture.
int archNumber(const std::string& arch) {
  if (!arch.starts_with("sm_"))
    return 0;
  int number = 0;
  const char* end = arch.data() + arch.size();
  auto [rest, error] = std::from_chars(arch.data() + 3, end, number);
  bool suffix = end - rest == 1 && (*rest == 'a' || *rest == 'f');
  return error == std::errc() && (rest == end || suffix) ? number : 0;
}

std::string join(const std::vector<int>& archs) {
  std::string text;
  for (int arch : archs)
    text += (text.empty() ? "sm_" : ", sm_") + std::to_string(arch);
  return text;
}

}  // namespace

std::string firstError(const std::string& log) {
  // "gla.lathe(3): error: ..." and the lines that follow, up to an empty one; or "ptxas error   :
  // ...".
  auto isError = [](const std::string& line) {
    for (const char* mark : {"error:", "error   :", "fatal   :"})
      if (line.find(mark) != std::string::npos)
        return true;
    return false;
  };
  std::istringstream lines(log);
  std::string text, line;
  while (std::getline(lines, line) && !isError(line)) {
  }
  if (!isError(line))
    return "";
  do
    text += (text.empty() ? "" : "\n") + line;
  while (std::getline(lines, line) && !line.empty() && !isError(line));
  return text;
}

Nvrtc::Nvrtc(NvrtcLibrary found) : library(found) {
  const NvrtcApi& api = library.api;
  int count = 0;
  if (api.version(&major, &minor) != 0 || api.numSupportedArchs(&count) != 0)
    throw Error("NVRTC " + library.library.path() + " does not say its version");
  if (major < 12)
    throw Error("NVRTC " + version() + " at " + library.library.path() +
                " is too old; Lathe needs NVRTC 12.0 or later");
  archs.resize(count);
  if (api.supportedArchs(archs.data()) != 0)
    throw Error("NVRTC " + library.library.path() + " does not say which architectures it knows");
  identityText = "NVRTC " + version() + " " + library.library.build();
}

const Nvrtc& Nvrtc::get() {
  // A failure throws out of the initialisation, which the next call tries again. Never destroyed: a
  // thread may be compiling while the process ends.
  static const Nvrtc& nvrtc = *new Nvrtc(findNvrtc());
  return nvrtc;
}

std::string Nvrtc::version() const { return std::to_string(major) + "." + std::to_string(minor); }

std::vector<std::string> Nvrtc::options(const std::string& arch) const {
  int number = archNumber(arch);
  if (number == 0)
    throw Error("'" + arch + "' is not a GPU architecture, such as sm_80 or sm_90a");
  if (std::find(archs.begin(), archs.end(), number) == archs.end())
    throw Error("NVRTC " + version() + " cannot target " + arch + "; it knows " + join(archs));
  std::vector<std::string> options = {
      "--gpu-architecture=" + arch,
      "--std=c++17",
      "--generate-line-info",
      // The default calls setrlimit for the whole process.
      "--modify-stack-limit=false",
      "--ptxas-options=-v",
      "--ptxas-options=--warn-on-spills",
  };
  // NVRTC's own cache loses the report of ptxas on a hit.
  if (major > 12 || (major == 12 && minor >= 9))
    options.push_back("--no-cache");
  return options;
}

int Nvrtc::run(const std::string& source, const std::string& name,
               const std::vector<std::string>& options, Compilation& result,
               std::string* ptx) const {
  const NvrtcApi& api = library.api;
  NvrtcProgram program = nullptr;
  if (int error = api.createProgram(&program, source.c_str(), name.c_str(), 0, nullptr, nullptr))
    return error;
  std::vector<const char*> pointers;
  for (const std::string& option : options)
    pointers.push_back(option.c_str());
  int error = api.compileProgram(program, int(pointers.size()), pointers.data());
  std::size_t size = 0;
  if (api.logSize(program, &size) == 0 && size > 1) {
    result.log.resize(size);
    api.log(program, result.log.data());
    // ptxas ends each of its parts with a zero; what it says of an error comes after the first.
    std::erase(result.log, '\0');
  }
  std::string& product = ptx ? *ptx : result.cubin;
  if (!error)
    error = ptx ? api.ptxSize(program, &size) : api.cubinSize(program, &size);
  if (!error) {
    product.resize(size);
    error = ptx ? api.ptx(program, product.data()) : api.cubin(program, product.data());
  }
  api.destroyProgram(&program);
  return error;
}

Compilation Nvrtc::compile(const std::string& source, const std::string& entry,
                           const std::string& arch) const {
  std::vector<std::string> given = options(arch);
  Compilation result;
  auto begin = std::chrono::steady_clock::now();
  int error = run(source, entry + ".cu", given, result);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (error) {
    std::string found = firstError(result.log);
    throw CompileError("NVRTC " + version() + " cannot compile " + entry + " for " + arch + " (" +
                           library.api.getErrorString(error) + ")" +
                           (found.empty() ? "" : ":\n" + found),
                       result.log);
  }
  result.resources = parsePtxasReport(result.log, entry);
  return result;
}

std::string Nvrtc::ptx(const std::string& source, const std::string& entry,
                       const std::string& arch) const {
  std::vector<std::string> given = options(arch);
  std::erase_if(given, [](const std::string& option) { return option.starts_with("--ptxas"); });
  given.front() = "--gpu-architecture=compute_" + arch.substr(3);
  Compilation result;
  std::string text;
  if (int error = run(source, entry + ".cu", given, result, &text))
    throw CompileError("NVRTC " + version() + " cannot compile " + entry + " to PTX for " + arch +
                           " (" + library.api.getErrorString(error) + "):\n" +
                           firstError(result.log),
                       result.log);
  // NVRTC counts the zero that ends the text.
  text.resize(text.find_last_not_of('\0') + 1);
  return text;
}

}  // namespace lathe
