// What a process has one of.
#pragma once

#include <atomic>
#include <memory>
#include <pthread.h>

namespace lathe {

/// The one T of this process. It is never destroyed, as threads may still use it while the process
/// ends. The child of a fork gets another: it lacks the threads of its parent, one of which may
/// have held a lock of the old one.
template <typename T> T& ofProcess() {
  static std::atomic<T*> current = nullptr;
  static const int atFork = pthread_atfork(nullptr, nullptr, [] { current = nullptr; });
  static_cast<void>(atFork);
  T* found = current;
  if (!found) {
    auto own = std::make_unique<T>();
    if (current.compare_exchange_strong(found, own.get()))
      found = own.release();
  }
  return *found;
}

}  // namespace lathe
