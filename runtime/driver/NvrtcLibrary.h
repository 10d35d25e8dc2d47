// NVRTC's functions, declared here so that no CUDA header is needed, and where its library is
// looked for.
#pragma once

#include "runtime/driver/Library.h"

#include <cstddef>
#include <string>
#include <vector>

// F(member, symbol, parameters): all are in NVRTC 11.2 and later.
#define LATHE_NVRTC_FUNCTIONS(F)                                                                   \
  F(getErrorString, nvrtcGetErrorString, const char*, (int result))                                \
  F(version, nvrtcVersion, int, (int* major, int* minor))                                          \
  F(numSupportedArchs, nvrtcGetNumSupportedArchs, int, (int* count))                               \
  F(supportedArchs, nvrtcGetSupportedArchs, int, (int* archs))                                     \
  F(createProgram, nvrtcCreateProgram, int,                                                        \
    (NvrtcProgram * program, const char* source, const char* name, int headers,                    \
     const char* const* headerTexts, const char* const* headerNames))                              \
  F(destroyProgram, nvrtcDestroyProgram, int, (NvrtcProgram * program))                            \
  F(compileProgram, nvrtcCompileProgram, int,                                                      \
    (NvrtcProgram program, int count, const char* const* options))                                 \
  F(logSize, nvrtcGetProgramLogSize, int, (NvrtcProgram program, std::size_t* bytes))              \
  F(log, nvrtcGetProgramLog, int, (NvrtcProgram program, char* text))                              \
  F(cubinSize, nvrtcGetCUBINSize, int, (NvrtcProgram program, std::size_t* bytes))                 \
  F(cubin, nvrtcGetCUBIN, int, (NvrtcProgram program, char* bytes))                                \
  F(ptxSize, nvrtcGetPTXSize, int, (NvrtcProgram program, std::size_t* bytes))                     \
  F(ptx, nvrtcGetPTX, int, (NvrtcProgram program, char* text))

namespace lathe {

using NvrtcProgram = struct NvrtcProgramTag*;

struct NvrtcApi {
#define LATHE_MEMBER(member, symbol, result, parameters) result(*member) parameters = nullptr;
  LATHE_NVRTC_FUNCTIONS(LATHE_MEMBER)
#undef LATHE_MEMBER
};

struct NvrtcLibrary {
  Library library;
  NvrtcApi api;
};

/// Finds NVRTC: LATHE_NVRTC_PATH (a file or its folder; then nowhere else), a copy that this
/// process has already, libnvrtc.so.13 and .12 by name, `pythonFolders()`, $CUDA_HOME, $CUDA_PATH
/// and /usr/local/cuda. Throws Error where there is none, saying what to install.
NvrtcLibrary findNvrtc();

/// The folders in which pip puts NVRTC, most particular first: below LATHE_PYTHON (a virtual
/// environment or a site-packages folder), $VIRTUAL_ENV, $CONDA_PREFIX, ./.venv, ~/.local, the
/// python3 on PATH, /usr/local and /usr.
std::vector<std::string> pythonFolders();

}  // namespace lathe
