// An NVRTC that compiles for this machine: preprocess, transform.py, g++. Its cubin is a shared
// object.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

namespace fs = std::filesystem;

namespace {

struct Program {
  std::string source, log, binary;
};

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

std::string entryOf(const std::string& source) {
  std::smatch found;
  return std::regex_search(source, found, std::regex(R"(\) (lathe_\w+)\(const __grid_constant__)"))
             ? found[1].str()
             : "kernel";
}

int compile(Program& program) {
  std::string pattern = (fs::temp_directory_path() / "lathe_emulator_XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    return 1;
  const fs::path folder = pattern;
  std::ofstream(folder / "kernel.cu") << program.source;
  const std::string log = " 2>> " + (folder / "log").string();
  const std::string in = (folder / "kernel").string(), root = LATHE_SOURCE_DIR;
  const bool compiled =
      shell("g++ -x c++ -E -P " + in + ".cu -o " + in + ".ii" + log) &&
      shell("python3 " + root + "/tests/emulator/transform.py < " + in + ".ii > " + in + ".cpp" +
            log) &&
      shell("g++ -std=c++20 -O1 -w -shared -fPIC -I" + root + " " + in + ".cpp " +
            LATHE_EMULATOR_CUDA + " -Wl,-rpath," +
            fs::path(LATHE_EMULATOR_CUDA).parent_path().string() + " -o " + in + ".so" + log);
  program.log = contents(folder / "log");
  if (compiled) {
    program.binary = contents(in + ".so");
    const std::string entry = entryOf(program.source);
    program.log = "ptxas info    : 0 bytes gmem\nptxas info    : Compiling entry function '" +
                  entry + "' for 'sm_90a'\nptxas info    : Function properties for " + entry +
                  "\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
                  "ptxas info    : Used 64 registers, used 1 barriers\n";
  }
  if (!std::getenv("LATHE_EMULATOR_KEEP"))
    fs::remove_all(folder);
  return compiled ? 0 : 6;
}

}  // namespace

extern "C" {

using Handle = Program*;

const char* nvrtcGetErrorString(int) { return "NVRTC_ERROR_COMPILATION"; }
int nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, 0; }
int nvrtcGetNumSupportedArchs(int* count) { return *count = 1, 0; }
int nvrtcGetSupportedArchs(int* archs) { return archs[0] = 90, 0; }
int nvrtcCreateProgram(Handle* program, const char* source, const char*, int, const char* const*,
                       const char* const*) {
  *program = new Program{source, "", ""};
  return 0;
}
int nvrtcDestroyProgram(Handle* program) {
  delete *program;
  return 0;
}
int nvrtcCompileProgram(Handle program, int, const char* const*) { return compile(*program); }
int nvrtcGetProgramLogSize(Handle program, std::size_t* bytes) {
  return *bytes = program->log.size() + 1, 0;
}
int nvrtcGetProgramLog(Handle program, char* text) {
  std::memcpy(text, program->log.c_str(), program->log.size() + 1);
  return 0;
}
int nvrtcGetCUBINSize(Handle program, std::size_t* bytes) {
  return *bytes = program->binary.size(), 0;
}
int nvrtcGetCUBIN(Handle program, char* bytes) {
  std::memcpy(bytes, program->binary.data(), program->binary.size());
  return 0;
}
int nvrtcGetPTXSize(Handle, std::size_t* bytes) { return *bytes = 1, 0; }
int nvrtcGetPTX(Handle, char* text) { return *text = 0, 0; }
}
