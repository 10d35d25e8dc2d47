#include "runtime/driver/NvrtcLibrary.h"

#include "cache/Log.h"
#include "runtime/Error.h"

#include <cstdlib>
#include <filesystem>
#include <glob.h>

namespace lathe {

namespace fs = std::filesystem;

namespace {

constexpr const char* names[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

/// The prefix of the python3 that the shell would run: the folder above its bin, links followed.
std::string pythonPrefix() {
  std::string path = environment("PATH");
  for (std::size_t begin = 0; begin < path.size();) {
    std::size_t end = std::min(path.find(':', begin), path.size());
    fs::path file = fs::path(path.substr(begin, end - begin)) / "python3";
    std::error_code error;
    if (end > begin && fs::exists(file, error))
      return fs::canonical(file, error).parent_path().parent_path();
    begin = end + 1;
  }
  return "";
}

/// NVRTC opens libnvrtc-builtins by its bare name, which the loader finds outside its search path
/// only if it is open already.
void openBuiltins(const fs::path& folder) {
  std::string ignored;
  for (const std::string& file : matches((folder / "libnvrtc-builtins.so*").string()))
    Library::open(file, ignored);
}

/// Opens the first of the versions in a folder.
Library openIn(const fs::path& folder, std::string& problem) {
  for (const char* name : names) {
    std::error_code error;
    if (fs::exists(folder / name, error))
      if (Library library = Library::open((folder / name).string(), problem))
        return library;
  }
  return {};
}

Library openGiven(const std::string& given) {
  std::string problem = "there is no libnvrtc.so.13 or libnvrtc.so.12 in it";
  std::error_code error;
  bool folder = fs::is_directory(given, error);
  Library library = folder ? openIn(given, problem) : Library::open(given, problem);
  if (!library)
    throw Error("LATHE_NVRTC_PATH is '" + given + "': " + problem +
                "; it must be libnvrtc.so.13 or libnvrtc.so.12, or the folder of one");
  return library;
}

Library openAnywhere() {
  for (const char* name : names)
    if (Library library = Library::alreadyLoaded(name))
      return library;
  std::string problem;
  for (const char* name : names)
    if (Library library = Library::open(name, problem))
      return library;
  for (const std::string& folder : pythonFolders())
    if (Library library = openIn(folder, problem))
      return library;
  for (const std::string& root :
       {environment("CUDA_HOME"), environment("CUDA_PATH"), std::string("/usr/local/cuda")})
    for (const char* folder : {"lib64", "lib"})
      if (!root.empty())
        if (Library library = openIn(fs::path(root) / folder, problem))
          return library;
  throw Error("there is no NVRTC, which compiles the kernels; install it with 'pip install "
              "nvidia-cuda-nvrtc' or the CUDA toolkit, or set LATHE_NVRTC_PATH to its folder");
}

}  // namespace

std::vector<std::string> pythonFolders() {
  std::string given = environment("LATHE_PYTHON"), home = environment("HOME");
  std::vector<std::string> prefixes = {given,
                                       environment("VIRTUAL_ENV"),
                                       environment("CONDA_PREFIX"),
                                       ".venv",
                                       home.empty() ? "" : home + "/.local",
                                       pythonPrefix(),
                                       "/usr/local",
                                       "/usr"};
  std::vector<std::string> folders;
  auto add = [&](const std::string& pattern) {
    for (const char* package : {"/nvidia/cu13/lib", "/nvidia/cuda_nvrtc/lib"})
      for (const std::string& folder : matches(pattern + package))
        folders.push_back(fs::absolute(folder).string());
  };
  if (!given.empty())
    add(given);
  for (const std::string& prefix : prefixes)
    if (!prefix.empty())
      for (const char* packages : {"/lib/python3*/site-packages", "/lib/python3*/dist-packages"})
        add(prefix + packages);
  return folders;
}

NvrtcLibrary findNvrtc() {
  NvrtcLibrary nvrtc;
  std::string given = environment("LATHE_NVRTC_PATH");
  nvrtc.library = given.empty() ? openAnywhere() : openGiven(given);
  auto find = [&](const char* symbol) {
    void* address = nvrtc.library.find(symbol);
    if (!address)
      throw Error("NVRTC " + nvrtc.library.path() + " has no " + symbol +
                  "; Lathe needs NVRTC 12.0 or later");
    return address;
  };
  openBuiltins(fs::path(nvrtc.library.path()).parent_path());
#define LATHE_FIND(member, symbol, result, parameters)                                             \
  nvrtc.api.member = reinterpret_cast<decltype(nvrtc.api.member)>(find(#symbol));
  LATHE_NVRTC_FUNCTIONS(LATHE_FIND)
#undef LATHE_FIND
  log(LogLevel::info, "NVRTC is " + nvrtc.library.path());
  return nvrtc;
}

}  // namespace lathe
