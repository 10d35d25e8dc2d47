// Device memory, streams, events and graphs for tools, tests and the tuner. Launches need none of
// it: callers bring their own. All belong to the context that was current when they were made.
#pragma once

#include "runtime/driver/Cuda.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace lathe {

/// A handle that is destroyed once, by `destroy`.
template <class Handle, void (*destroy)(Handle)> class Owned {
public:
  Owned() = default;
  explicit Owned(Handle handle) : handle(handle) {}
  Owned(Owned&& other) noexcept : handle(std::exchange(other.handle, Handle{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle, other.handle);
    return *this;
  }
  ~Owned() {
    if (handle)
      destroy(handle);
  }

  Handle handle = {};
};

namespace detail {
void freeMemory(cuda::Pointer pointer);
void destroyStream(cuda::StreamHandle stream);
void destroyEvent(cuda::EventHandle event);
void destroyGraph(cuda::GraphExec graph);
}  // namespace detail

class Graph {
public:
  explicit Graph(cuda::GraphExec exec) : owned(exec) {}
  void launch(cuda::StreamHandle stream) const;

private:
  Owned<cuda::GraphExec, detail::destroyGraph> owned;
};

/// A stream that does not wait for the default stream.
class Stream {
public:
  Stream();
  operator cuda::StreamHandle() const { return owned.handle; }
  void synchronize() const;

  /// What is launched between the two becomes a graph instead of running.
  void beginCapture() const;
  Graph endCapture() const;

private:
  Owned<cuda::StreamHandle, detail::destroyStream> owned;
};

class Event {
public:
  Event();
  void record(cuda::StreamHandle stream) const;
  void synchronize() const;

  /// Milliseconds from `begin` to this event; both must be over.
  float since(const Event& begin) const;

private:
  Owned<cuda::EventHandle, detail::destroyEvent> owned;
};

/// Uninitialised device memory, aligned to 256 bytes.
class Buffer {
public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes);

  void* data() const { return reinterpret_cast<void*>(owned.handle); }
  std::size_t bytes() const { return size; }

  /// Copies the whole buffer; waits for `stream`, so that the host memory may go.
  void upload(const void* from, cuda::StreamHandle stream = nullptr) const;
  void download(void* to, cuda::StreamHandle stream = nullptr) const;
  void copyFrom(const Buffer& other, cuda::StreamHandle stream = nullptr) const;
  void fill(std::uint8_t byte, cuda::StreamHandle stream = nullptr) const;

  /// The first `bytes() / 4` words.
  void fillWords(std::uint32_t word, cuda::StreamHandle stream = nullptr) const;

private:
  Owned<cuda::Pointer, detail::freeMemory> owned;
  std::size_t size = 0;
};

/// Waits for everything in the current context; throws what a kernel did wrong.
void synchronizeDevice();

}  // namespace lathe
