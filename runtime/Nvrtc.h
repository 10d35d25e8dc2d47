// CUDA C++ to a cubin for one real architecture, in this process, by NVRTC.
#pragma once

#include "runtime/Error.h"
#include "runtime/PtxasReport.h"
#include "runtime/driver/NvrtcLibrary.h"

#include <string>
#include <vector>

namespace lathe {

/// A source that NVRTC refused. The message carries the first error of the log, at the line that
/// the source names with #line, which may be one of the spec.
class CompileError : public Error {
public:
  CompileError(const std::string& message, std::string log) : Error(message), log(std::move(log)) {}
  std::string log;
};

struct Compilation {
  std::string cubin;
  std::string log;  ///< Warnings and the report of ptxas.
  Resources resources;
  double seconds = 0;
};

/// One NVRTC. Thread-safe; compilations on several threads run in parallel.
class Nvrtc {
public:
  explicit Nvrtc(NvrtcLibrary library);

  /// The NVRTC of this process, found on first use. Throws Error where there is none.
  static const Nvrtc& get();

  /// "NVRTC 13.0 build-id 65be0db3...": part of every cache key, as patch releases share their
  /// version.
  const std::string& identity() const { return identityText; }
  std::string version() const;
  const std::vector<int>& supportedArchs() const { return archs; }

  /// How every kernel is compiled for `arch`, e.g. "sm_90a". Throws Error for an architecture that
  /// this NVRTC does not know.
  std::vector<std::string> options(const std::string& arch) const;

  /// Compiles a complete source, which has no includes and one kernel named `entry`. Throws
  /// CompileError. The same source and options give the same bytes.
  Compilation compile(const std::string& source, const std::string& entry,
                      const std::string& arch) const;

  /// The PTX of the same source, for reading, of the virtual architecture of `arch`: compute_90a
  /// for sm_90a. Throws as `compile` does.
  std::string ptx(const std::string& source, const std::string& entry,
                  const std::string& arch) const;

private:
  /// Where `ptx` is given, it takes the PTX, and no cubin is made.
  int run(const std::string& source, const std::string& name,
          const std::vector<std::string>& options, Compilation& result,
          std::string* ptx = nullptr) const;

  NvrtcLibrary library;
  int major = 0, minor = 0;
  std::string identityText;
  std::vector<int> archs;
};

/// The first error in a compilation log and the lines that show where it is; empty where there is
/// none.
std::string firstError(const std::string& log);

}  // namespace lathe
