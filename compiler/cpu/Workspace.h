// Memory of one task, kept from call to call.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace lathe::cpu {

/// Memory that grows, aligned to cache lines, not initialised.
class Workspace {
public:
  static constexpr std::size_t alignment = 64;

  /// At least `bytes` bytes. What was in it is lost where it grows.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > size) {
      memory.reset();
      memory.reset(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(alignment))));
      size = bytes;
    }
    return memory.get();
  }

private:
  struct Delete {
    void operator()(std::byte* pointer) const {
      ::operator delete(pointer, std::align_val_t(alignment));
    }
  };
  std::unique_ptr<std::byte, Delete> memory;
  std::size_t size = 0;
};

/// Workspaces that are lent to one task at a time.
class Workspaces {
public:
  class Loan {
  public:
    explicit Loan(Workspaces& owner) : owner(owner), workspace(owner.take()) {}
    ~Loan() { owner.giveBack(std::move(workspace)); }
    Loan(const Loan&) = delete;
    Workspace& operator*() const { return *workspace; }

  private:
    Workspaces& owner;
    std::unique_ptr<Workspace> workspace;
  };

private:
  std::unique_ptr<Workspace> take() {
    const std::lock_guard lock(mutex);
    if (idle.empty())
      return std::make_unique<Workspace>();
    std::unique_ptr<Workspace> workspace = std::move(idle.back());
    idle.pop_back();
    return workspace;
  }

  void giveBack(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(workspace));
  }

  std::mutex mutex;
  std::vector<std::unique_ptr<Workspace>> idle;
};

}  // namespace lathe::cpu
