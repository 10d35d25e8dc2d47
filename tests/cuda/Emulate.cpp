#include "tests/cuda/Emulate.h"

#include "templates/Templates.h"

#include <atomic>
#include <cstdlib>
#include <dlfcn.h>
#include <fstream>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace lathe::test {

namespace fs = std::filesystem;

static void replaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// The kernel as a C++ file with one function, `emulate`.
static std::string hostSource(const KernelSource& kernel) {
  std::string text = kernel.text;
  for (const Template* one = kTemplates; one->path; ++one) {
    const std::string path = one->path;
    if (path == "templates/device/types.cuh" || path == "templates/device/math.cuh" ||
        path == "templates/device/mma.cuh")
      replaceAll(text, one->text, "");
    // What copies asynchronously is made of instructions; nothing here does.
    if (path == "templates/device/tensor.cuh") {
      const std::string all = one->text, end = "/// Copies `valid`";
      replaceAll(text, all, all.substr(0, all.find(end)));
    }
  }
  replaceAll(text, "extern __shared__ __align__(128) char shared[];",
             "char* const shared = emulatedShared;");
  replaceAll(text, "extern \"C\" __global__", "static");
  return "#include \"tests/cuda/EmulatedDevice.h\"\n" + text +
         "\nstatic const lathe::Args* emulatedArgs;\n"
         "static void emulatedEntry() {\n  " +
         kernel.entry +
         "(*emulatedArgs);\n  emulated::finish();\n}\n"
         "extern \"C\" bool emulate(const void* args, int blocks, int threads,\n"
         "                        unsigned long sharedBytes, unsigned seed) {\n"
         "  emulatedArgs = static_cast<const lathe::Args*>(args);\n"
         "  return emulated::runGrid(blocks, threads, sharedBytes, seed, emulatedEntry);\n}\n";
}

Emulated::Emulated(const KernelSource& kernel) {
  static std::atomic<int> count = 0;
  folder = fs::temp_directory_path() /
           ("lathe_emulate_" + std::to_string(getpid()) + "_" + std::to_string(count++));
  fs::create_directories(folder);
  std::ofstream(folder / "kernel.cpp") << hostSource(kernel);
  const std::string command = std::string(LATHE_CXX) + " -std=c++20 -O1 -w -shared -fPIC -I" +
                              LATHE_SOURCE_DIR + " -o " + (folder / "kernel.so").string() + " " +
                              (folder / "kernel.cpp").string();
  if (std::system(command.c_str()) != 0)
    throw std::runtime_error("the kernel is no C++: " + command);
  library = dlopen((folder / "kernel.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(dlerror());
  function = reinterpret_cast<Function>(dlsym(library, "emulate"));
}

Emulated::~Emulated() {
  if (library)
    dlclose(library);
  fs::remove_all(folder);
}

bool Emulated::run(const LaunchPlan& plan, unsigned seed) const {
  return function(plan.argument.data(), int(plan.grid), int(plan.threads), plan.sharedBytes, seed);
}

}  // namespace lathe::test
