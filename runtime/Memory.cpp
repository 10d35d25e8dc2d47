#include "runtime/Memory.h"

#include "runtime/Error.h"

#include <string>

namespace lathe {

using cuda::api;
using cuda::check;

namespace detail {
void freeMemory(cuda::Pointer pointer) { api().memFree(pointer); }
void destroyStream(cuda::StreamHandle stream) { api().streamDestroy(stream); }
void destroyEvent(cuda::EventHandle event) { api().eventDestroy(event); }
void destroyGraph(cuda::GraphExec graph) { api().graphExecDestroy(graph); }
}  // namespace detail

void Graph::launch(cuda::StreamHandle stream) const {
  check(api().graphLaunch(owned.handle, stream), "to launch a graph");
}

Stream::Stream() { check(api().streamCreate(&owned.handle, cuda::streamNonBlocking), "a stream"); }

void Stream::synchronize() const {
  check(api().streamSynchronize(owned.handle), "to wait for a stream");
}

void Stream::beginCapture() const {
  check(api().streamBeginCapture(owned.handle, cuda::captureModeGlobal), "to begin a capture");
}

Graph Stream::endCapture() const {
  cuda::GraphHandle graph = nullptr;
  check(api().streamEndCapture(owned.handle, &graph), "to end a capture");
  cuda::GraphExec exec = nullptr;
  cuda::Result result = api().graphInstantiate(&exec, graph, 0);
  api().graphDestroy(graph);
  check(result, "to instantiate a graph");
  return Graph(exec);
}

Event::Event() { check(api().eventCreate(&owned.handle, 0), "an event"); }

void Event::record(cuda::StreamHandle stream) const {
  check(api().eventRecord(owned.handle, stream), "to record an event");
}

void Event::synchronize() const {
  check(api().eventSynchronize(owned.handle), "to wait for an event");
}

float Event::since(const Event& begin) const {
  float milliseconds = 0;
  check(api().eventElapsed(&milliseconds, begin.owned.handle, owned.handle),
        "the time between two events");
  return milliseconds;
}

Buffer::Buffer(std::size_t bytes) : size(bytes) {
  if (bytes > 0)
    check(api().memAlloc(&owned.handle, bytes), std::to_string(bytes) + " bytes of device memory");
}

void Buffer::upload(const void* from, cuda::StreamHandle stream) const {
  if (size == 0)
    return;
  check(api().memcpyToDevice(owned.handle, from, size, stream), "a copy to the GPU");
  check(api().streamSynchronize(stream), "a copy to the GPU");
}

void Buffer::download(void* to, cuda::StreamHandle stream) const {
  if (size == 0)
    return;
  check(api().memcpyToHost(to, owned.handle, size, stream), "a copy from the GPU");
  check(api().streamSynchronize(stream), "a copy from the GPU");
}

void Buffer::copyFrom(const Buffer& other, cuda::StreamHandle stream) const {
  if (other.size != size)
    throw Error("a copy of " + std::to_string(other.size) + " bytes into a buffer of " +
                std::to_string(size) + "; they must be equal");
  if (size > 0)
    check(api().memcpyOnDevice(owned.handle, other.owned.handle, size, stream),
          "a copy on the GPU");
}

void Buffer::fill(std::uint8_t byte, cuda::StreamHandle stream) const {
  if (size > 0)
    check(api().memset8(owned.handle, byte, size, stream), "to fill device memory");
}

void Buffer::fillWords(std::uint32_t word, cuda::StreamHandle stream) const {
  if (size >= 4)
    check(api().memset32(owned.handle, word, size / 4, stream), "to fill device memory");
}

void synchronizeDevice() { check(api().ctxSynchronize(), "to wait for the GPU"); }

}  // namespace lathe
