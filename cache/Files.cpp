#include "cache/Files.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

namespace lathe {

namespace fs = std::filesystem;

namespace {

Stamp stampFrom(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim};
}

/// Writing past RLIMIT_FSIZE raises SIGXFSZ, which ends the process; blocked, write() returns EFBIG
/// instead. The signal is directed at the writing thread, so taking it back off that thread loses
/// no one else's.
class FileSizeSignalBlocked {
public:
  FileSizeSignalBlocked() {
    sigemptyset(&signal);
    sigaddset(&signal, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal, &before);
  }
  ~FileSizeSignalBlocked() {
    if (!sigismember(&before, SIGXFSZ)) {
      std::timespec none = {};
      while (sigtimedwait(&signal, nullptr, &none) == -1 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

private:
  sigset_t signal, before;
};

Errno writeAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return written < 0 ? errno : EIO;
    bytes.remove_prefix(written);
  }
  return fsync(file) == 0 ? 0 : errno;
}

/// Unique over the machines that share a file system: host, process, 128 random bits.
std::string uniqueName() {
  std::array<char, 256> host = {};
  gethostname(host.data(), host.size() - 1);
  std::random_device random;
  std::array<char, 64> suffix;
  std::snprintf(suffix.data(), suffix.size(), "-%d-%08x%08x%08x%08x", int(getpid()), random(),
                random(), random(), random());
  return std::string(host.data()) + suffix.data();
}

}  // namespace

Errno readFile(const fs::path& path, FileContent& content) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return errno;
  struct stat status;
  Errno error = fstat(file, &status) == 0 ? 0 : errno;
  if (!error && !S_ISREG(status.st_mode))
    error = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
  content.bytes.clear();
  if (!error) {
    content.stamp = stampFrom(status);
    content.bytes.resize(status.st_size);
    std::size_t done = 0;
    while (done < content.bytes.size()) {
      ssize_t got = read(file, content.bytes.data() + done, content.bytes.size() - done);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        error = errno;
      if (got <= 0)
        break;
      done += got;
    }
    content.bytes.resize(done);
  }
  close(file);
  return error;
}

std::optional<Stamp> stampOf(const fs::path& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0)
    return std::nullopt;
  return stampFrom(status);
}

Errno removeIfUnchanged(const fs::path& path, const Stamp& stamp) {
  std::optional<Stamp> now = stampOf(path);
  if (!now)
    return errno;
  if (!(*now == stamp))
    return ESTALE;
  return unlink(path.c_str()) == 0 ? 0 : errno;
}

Errno makeFolders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return error.value();
}

Errno publishFile(const fs::path& path, const fs::path& scratch, std::string_view bytes) {
  if (Errno error = makeFolders(scratch))
    return error;
  if (Errno error = makeFolders(path.parent_path()))
    return error;
  fs::path temporary = scratch / uniqueName();
  int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0)
    return errno;
  Errno error;
  {
    FileSizeSignalBlocked blocked;
    error = writeAll(file, bytes);
  }
  if (close(file) != 0 && !error)
    error = errno;
  if (!error && rename(temporary.c_str(), path.c_str()) != 0)
    error = errno;
  if (error) {
    unlink(temporary.c_str());
    return error;
  }
  // The entry survives a crash of the machine only once its folder is on disk too; losing it costs
  // one compilation.
  int folder = open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return 0;
}

Errno touch(const fs::path& path) {
  return utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0 ? 0 : errno;
}

double ageOf(const std::timespec& modified) {
  std::timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return double(now.tv_sec - modified.tv_sec) + 1e-9 * double(now.tv_nsec - modified.tv_nsec);
}

}  // namespace lathe
