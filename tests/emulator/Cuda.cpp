// A libcuda that runs what the emulator's NVRTC compiled, on this machine: one GPU of sm_90a. What
// is asynchronous is done at once.
#include "runtime/driver/CudaApi.h"
#include "tests/emulator/Emulator.h"
#include "tests/emulator/TensorCores.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

using namespace lathe::cuda;

struct lathe::cuda::ContextTag {};
struct lathe::cuda::ModuleTag {
  void* handle;
};
/// Kernels of the module's `NAME_emulated` (transform.py).
struct lathe::cuda::FunctionTag {
  void (*run)(const void*);
};
struct lathe::cuda::GraphTag {
  struct Launch {
    Function function;
    unsigned blocks, threads, sharedBytes;
    std::vector<char> argument;
  };
  std::vector<Launch> launches;
};
struct lathe::cuda::GraphExecTag : GraphTag {};
struct lathe::cuda::StreamTag {
  GraphTag* capturing = nullptr;
};
struct lathe::cuda::EventTag {
  std::chrono::steady_clock::time_point time;
};

namespace {

constexpr int multiprocessors = 8, sharedBytes = 232448, argumentBytes = 4096;
constexpr Result invalidValue = 1, launchFailed = 719;
ContextTag primary;
thread_local std::vector<Context> stack;
thread_local std::string failure;

std::size_t sizeOf(const void* image) {
  const auto* header = static_cast<const Elf64_Ehdr*>(image);
  return header->e_shoff + std::size_t(header->e_shnum) * header->e_shentsize;
}

Result launch(const GraphTag::Launch& one) {
  try {
    alignas(64) char argument[argumentBytes];
    std::memcpy(argument, one.argument.data(), argumentBytes);
    emulator::run(one.blocks, one.threads, one.sharedBytes, [&] { one.function->run(argument); });
    return success;
  } catch (const std::exception& error) {
    failure = error.what();
    std::fprintf(stderr, "emulator: %s\n", error.what());
    return launchFailed;
  }
}

}  // namespace

extern "C" {

Result cuInit(unsigned) { return success; }
Result cuDriverGetVersion(int* version) { return *version = 13000, success; }
Result cuGetErrorName(Result error, const char** text) {
  *text = error == launchFailed   ? "CUDA_ERROR_LAUNCH_FAILED"
          : error == invalidValue ? "CUDA_ERROR_INVALID_VALUE"
                                  : "an error";
  return success;
}
Result cuGetErrorString(Result error, const char** text) {
  *text = error == launchFailed ? failure.c_str() : "invalid argument";
  return success;
}
Result cuDeviceGetCount(int* count) { return *count = 1, success; }
Result cuDeviceGet(DeviceHandle* device, int ordinal) { return *device = ordinal, success; }
Result cuDeviceGetName(char* name, int bytes, DeviceHandle) {
  std::strncpy(name, "Emulator", std::size_t(bytes));
  return success;
}
Result cuDeviceGetAttribute(int* value, int attribute, DeviceHandle) {
  *value = attribute == computeMajor                 ? 9
           : attribute == computeMinor               ? 0
           : attribute == multiprocessorCount        ? multiprocessors
           : attribute == sharedPerBlockOptin        ? sharedBytes
           : attribute == sharedPerMultiprocessor    ? sharedBytes + 1024
           : attribute == registersPerMultiprocessor ? 65536
                                                     : 1000;
  return success;
}
Result cuDeviceTotalMem_v2(std::size_t* bytes, DeviceHandle) {
  return *bytes = std::size_t(8) << 30, success;
}
Result cuDevicePrimaryCtxRetain(Context* context, DeviceHandle) {
  return *context = &primary, success;
}
Result cuCtxGetCurrent(Context* context) {
  return *context = stack.empty() ? nullptr : stack.back(), success;
}
Result cuCtxGetDevice(DeviceHandle* device) { return *device = 0, success; }
Result cuCtxPushCurrent_v2(Context context) { return stack.push_back(context), success; }
Result cuCtxPopCurrent_v2(Context* context) {
  *context = stack.back();
  stack.pop_back();
  return success;
}
Result cuCtxSynchronize() { return success; }
Result cuCtxGetId(Context, unsigned long long* id) { return *id = 1, success; }

Result cuModuleLoadData(ModuleHandle* module, const void* image) {
  char path[] = "/tmp/lathe_emulated_XXXXXX";
  const int file = mkstemp(path);
  if (file < 0)
    return invalidValue;
  const auto bytes = ssize_t(sizeOf(image));
  const bool written = write(file, image, std::size_t(bytes)) == bytes;
  close(file);
  void* handle = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(path);
  if (!handle) {
    std::fprintf(stderr, "emulator: %s\n", written ? dlerror() : "cannot write");
    return invalidImage;
  }
  *module = new ModuleTag{handle};
  return success;
}
Result cuModuleUnload(ModuleHandle module) {
  dlclose(module->handle);
  delete module;
  return success;
}
Result cuModuleGetFunction(Function* function, ModuleHandle module, const char* name) {
  void* found = dlsym(module->handle, (std::string(name) + "_emulated").c_str());
  if (!found)
    return invalidValue;
  *function = new FunctionTag{reinterpret_cast<void (*)(const void*)>(found)};
  return success;
}
Result cuFuncGetAttribute(int* value, int, Function) { return *value = 64, success; }
Result cuFuncSetAttribute(Function, int attribute, int value) {
  return attribute == maxDynamicSharedBytes && value > sharedBytes ? invalidValue : success;
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Function, int, std::size_t) {
  return *blocks = 1, success;
}

Result cuLaunchKernel(Function function, unsigned gridX, unsigned, unsigned, unsigned blockX,
                      unsigned, unsigned, unsigned shared, StreamHandle stream, void** parameters,
                      void**) {
  const auto* argument = static_cast<const char*>(parameters[0]);
  GraphTag::Launch one{function, gridX, blockX, shared, {argument, argument + argumentBytes}};
  if (stream && stream->capturing) {
    stream->capturing->launches.push_back(one);
    return success;
  }
  return launch(one);
}

Result cuMemAlloc_v2(Pointer* pointer, std::size_t bytes) {
  *pointer = reinterpret_cast<Pointer>(std::aligned_alloc(256, (bytes + 511) / 256 * 256));
  return success;
}
Result cuMemFree_v2(Pointer pointer) {
  return std::free(reinterpret_cast<void*>(pointer)), success;
}
Result cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return *free = *total = std::size_t(8) << 30, success;
}
Result cuMemcpyHtoDAsync_v2(Pointer to, const void* from, std::size_t bytes, StreamHandle) {
  return std::memcpy(reinterpret_cast<void*>(to), from, bytes), success;
}
Result cuMemcpyDtoHAsync_v2(void* to, Pointer from, std::size_t bytes, StreamHandle) {
  return std::memcpy(to, reinterpret_cast<void*>(from), bytes), success;
}
Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, std::size_t bytes, StreamHandle) {
  return std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes), success;
}
Result cuMemsetD8Async(Pointer to, unsigned char value, std::size_t count, StreamHandle) {
  return std::memset(reinterpret_cast<void*>(to), value, count), success;
}
Result cuMemsetD32Async(Pointer to, unsigned value, std::size_t count, StreamHandle) {
  for (std::size_t i = 0; i < count; ++i)
    reinterpret_cast<unsigned*>(to)[i] = value;
  return success;
}

Result cuStreamCreate(StreamHandle* stream, unsigned) { return *stream = new StreamTag, success; }
Result cuStreamDestroy_v2(StreamHandle stream) {
  delete stream;
  return success;
}
Result cuStreamSynchronize(StreamHandle) { return success; }
Result cuStreamIsCapturing(StreamHandle stream, int* status) {
  return *status = stream && stream->capturing, success;
}
Result cuStreamBeginCapture_v2(StreamHandle stream, int) {
  return stream->capturing = new GraphTag, success;
}
Result cuStreamEndCapture(StreamHandle stream, GraphHandle* graph) {
  *graph = stream->capturing;
  stream->capturing = nullptr;
  return success;
}
Result cuThreadExchangeStreamCaptureMode(int*) { return success; }
Result cuGraphInstantiateWithFlags(GraphExec* exec, GraphHandle graph, unsigned long long) {
  return *exec = new GraphExecTag{*graph}, success;
}
Result cuGraphLaunch(GraphExec exec, StreamHandle) {
  for (const GraphTag::Launch& one : exec->launches)
    if (const Result result = launch(one))
      return result;
  return success;
}
Result cuGraphExecDestroy(GraphExec exec) {
  delete exec;
  return success;
}
Result cuGraphDestroy(GraphHandle graph) {
  delete graph;
  return success;
}

Result cuEventCreate(EventHandle* event, unsigned) { return *event = new EventTag, success; }
Result cuEventDestroy_v2(EventHandle event) {
  delete event;
  return success;
}
Result cuEventRecord(EventHandle event, StreamHandle) {
  return event->time = std::chrono::steady_clock::now(), success;
}
Result cuEventSynchronize(EventHandle) { return success; }
Result cuEventElapsedTime(float* ms, EventHandle begin, EventHandle end) {
  *ms = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return success;
}

/// What is told of a tensor stands as it is in the 128 bytes.
Result cuTensorMapEncodeTiled(void* map, int, unsigned rank, void* data,
                              const unsigned long long* sizes, const unsigned long long* strides,
                              const unsigned* box, const unsigned*, int, int, int, int) {
  if (rank != 4)
    return invalidValue;
  emulator::TensorMap own{static_cast<char*>(data), {}, {}, {}};
  for (int axis = 0; axis < 4; ++axis) {
    own.sizes[axis] = sizes[axis];
    own.box[axis] = box[axis];
    if (axis < 3)
      own.strides[axis] = strides[axis];
  }
  std::memcpy(map, &own, sizeof(own));
  return success;
}
}
