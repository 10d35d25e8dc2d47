// A folder of its own for each test, environment variables that are put back, and small entries.
#pragma once

#include "cache/Store.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lathe::test {

namespace fs = std::filesystem;

class Folder {
public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "lathe-test-XXXXXX").string();
    if (!mkdtemp(name.data()))
      throw std::runtime_error("mkdtemp");
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

/// Sets or (null) unsets a variable while it lives.
class Variable {
public:
  Variable(const char* name, const char* value) : name(name) {
    if (const char* old = std::getenv(name))
      before = old;
    value ? setenv(name, value, 1) : unsetenv(name);
  }
  Variable(const char* name, const std::string& value) : Variable(name, value.c_str()) {}
  Variable(const Variable&) = delete;
  ~Variable() { before ? setenv(name, before->c_str(), 1) : unsetenv(name); }

private:
  const char* name;
  std::optional<std::string> before;
};

inline StoreOptions rootAt(const fs::path& path) {
  StoreOptions options;
  options.root = path;
  return options;
}

inline Key keyOf(const std::string& source) {
  return makeKey(source, {"--gpu-architecture=sm_90a"}, "test 1");
}

/// An entry whose payload is a function of its source, so that a mixed one would be noticed.
inline Entry entryOf(const std::string& source, std::size_t bytes = 1000) {
  std::string cubin;
  while (cubin.size() < bytes)
    cubin += source + '\0';
  return {keyOf(source).text, {{"entry", source}}, cubin};
}

inline std::string readAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void writeAll(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Moves the time of last modification by `seconds` from now.
inline void setAge(const fs::path& path, double seconds) {
  timespec times[2];
  clock_gettime(CLOCK_REALTIME, &times[0]);
  times[0].tv_sec -= long(seconds);
  times[1] = times[0];
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

/// Runs `body` in a child process; the exit status that it returns.
template <typename Body> int inChild(Body body) {
  pid_t child = fork();
  if (child == 0)
    _exit([&]() noexcept -> int { return body(); }());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace lathe::test
