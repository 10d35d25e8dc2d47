// A shared library that is looked for at run time, so that nothing needs it to build or load.
#pragma once

#include <string>

namespace lathe {

/// Stays open for the life of the process: its functions may be running while the process ends.
class Library {
public:
  /// Opens a file, or searches for a name as the loader does. Empty on failure; `problem` says why.
  static Library open(const std::string& file, std::string& problem);

  /// The library if this process has it already, e.g. PyTorch's copy.
  static Library alreadyLoaded(const std::string& file);

  explicit operator bool() const { return handle != nullptr; }
  void* find(const char* symbol) const;

  /// Its file, as the loader found it.
  std::string path() const;

  /// Tells two builds of one version apart: the GNU build id, or the SHA-256 of the file where the
  /// linker left none.
  std::string build() const;

private:
  void* handle = nullptr;
};

}  // namespace lathe
