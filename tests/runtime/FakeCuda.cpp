#include "tests/runtime/FakeCuda.h"

#include <cstdlib>
#include <cstring>

using namespace lathe::cuda;

struct lathe::cuda::ContextTag {
  int device;
  unsigned long long id;
};

namespace {

FakeCuda state;
ContextTag primaries[] = {{0, 1}, {1, 2}}, others[] = {{0, 11}, {1, 12}};
thread_local Context stack[16];
thread_local int depth = 0;
thread_local int captureMode = captureModeGlobal;

}  // namespace

extern "C" {

FakeCuda* fakeCuda() { return &state; }
Context fakeCudaContext(int ordinal) { return &others[ordinal]; }

Result cuGetErrorName(Result error, const char** text) {
  *text = error == 1     ? "CUDA_ERROR_INVALID_VALUE"
          : error == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
                         : nullptr;
  return *text ? success : 1;
}
Result cuGetErrorString(Result error, const char** text) {
  *text = error == 1 ? "invalid argument" : error == 209 ? "no kernel image" : nullptr;
  return *text ? success : 1;
}
Result cuDriverGetVersion(int* version) { return *version = 12040, success; }
Result cuDeviceGetCount(int* count) { return *count = 2, success; }
Result cuDeviceGet(DeviceHandle* device, int ordinal) { return *device = ordinal, success; }
Result cuDeviceGetName(char* name, int bytes, DeviceHandle device) {
  std::strncpy(name, device == 0 ? "Fake H100" : "Fake A10", bytes);
  return success;
}
Result cuDeviceTotalMem_v2(std::size_t* bytes, DeviceHandle) { return *bytes = 1 << 30, success; }
Result cuDeviceGetAttribute(int* value, int attribute, DeviceHandle device) {
  switch (attribute) {
  case computeMajor:
    *value = device == 0 ? 9 : 8;
    break;
  case computeMinor:
    *value = device == 0 ? 0 : 6;
    break;
  case sharedPerBlockOptin:
    *value = device == 0 ? 232448 : 101376;
    break;
  case registersPerMultiprocessor:  // Tiles are pruned by it.
    *value = 65536;
    break;
  default:
    *value = 1000 + attribute;
  }
  return success;
}

Result cuDevicePrimaryCtxRetain(Context* context, DeviceHandle device) {
  ++state.primaryRetains;
  return *context = &primaries[device], success;
}
Result cuCtxGetCurrent(Context* context) {
  return *context = depth ? stack[depth - 1] : nullptr, success;
}
Result cuCtxGetDevice(DeviceHandle* device) {
  if (depth == 0)
    return 201;
  return *device = stack[depth - 1]->device, success;
}
Result cuCtxGetId(Context context, unsigned long long* id) { return *id = context->id, success; }
Result cuCtxPushCurrent_v2(Context context) { return stack[depth++] = context, success; }
Result cuCtxPopCurrent_v2(Context* context) { return *context = stack[--depth], success; }

Result cuThreadExchangeStreamCaptureMode(int* mode) {
  int before = captureMode;
  captureMode = *mode;
  return *mode = before, success;
}
Result cuStreamIsCapturing(StreamHandle, int* status) {
  return *status = state.capturing ? 1 : 0, success;
}

Result cuModuleLoadData(ModuleHandle* module, const void* image) {
  state.loadsUnderGlobalCapture += captureMode == captureModeGlobal;
  if (state.refusedLoads > 0) {
    --state.refusedLoads;
    return noBinaryForGpu;
  }
  ++state.loads;
  *module = reinterpret_cast<ModuleHandle>(std::size_t(state.loads) << 8);
  return std::memcmp(image,
                     "\x7f"
                     "ELF",
                     4) == 0
             ? success
             : invalidImage;
}
Result cuModuleUnload(ModuleHandle) { return ++state.unloads, success; }
Result cuModuleGetFunction(Function* function, ModuleHandle module, const char*) {
  return *function = reinterpret_cast<Function>(module), success;
}
Result cuFuncSetAttribute(Function, int attribute, int value) {
  if (attribute != maxDynamicSharedBytes || value > 232448)
    return 1;
  return state.sharedAttribute = value, success;
}
Result cuFuncGetAttribute(int* value, int attribute, Function) {
  return *value = 100 + attribute, success;
}
Result cuLaunchKernel(Function function, unsigned gridX, unsigned, unsigned, unsigned blockX,
                      unsigned, unsigned, unsigned sharedBytes, StreamHandle stream,
                      void** parameters, void**) {
  if (state.refuseLaunch)
    return 1;
  ++state.launches;
  state.grid = gridX;
  state.threads = blockX;
  state.sharedBytes = sharedBytes;
  state.stream = stream;
  cuCtxGetCurrent(&state.context);
  if (state.argumentBytes)
    state.argument.assign(static_cast<const char*>(parameters[0]), state.argumentBytes);
  return success;
}

Result cuMemAlloc_v2(Pointer* pointer, std::size_t bytes) {
  ++state.allocations;
  return *pointer = reinterpret_cast<Pointer>(std::malloc(bytes)), success;
}
Result cuMemFree_v2(Pointer pointer) {
  --state.allocations;
  return std::free(reinterpret_cast<void*>(pointer)), success;
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
}
