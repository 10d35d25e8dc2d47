// The part of the CUDA driver API (libcuda.so.1) that Lathe calls, declared here so that no CUDA
// header is needed. Types and numbers are those of cuda.h 12.0; names carry the version that its
// macros would add.
#pragma once

#include <cstddef>

namespace lathe::cuda {

using Result = int;  ///< CUresult; 0 is success.
using DeviceHandle = int;
using Pointer = unsigned long long;  ///< CUdeviceptr.
using Context = struct ContextTag*;
using ModuleHandle = struct ModuleTag*;
using Function = struct FunctionTag*;
using StreamHandle = struct StreamTag*;
using EventHandle = struct EventTag*;
using GraphHandle = struct GraphTag*;
using GraphExec = struct GraphExecTag*;

inline constexpr Result success = 0;
inline constexpr Result noBinaryForGpu = 209;
inline constexpr Result invalidImage = 200;

/// CUdevice_attribute.
enum Attribute : int {
  clockRateKHz = 13,
  multiprocessorCount = 16,
  memoryClockKHz = 36,
  memoryBusBits = 37,
  l2CacheBytes = 38,
  computeMajor = 75,
  computeMinor = 76,
  sharedPerMultiprocessor = 81,
  registersPerMultiprocessor = 82,
  sharedPerBlockOptin = 97,
};

/// CUfunction_attribute.
enum FunctionAttribute : int {
  maxThreadsPerBlock = 0,
  staticSharedBytes = 1,
  localBytes = 3,
  registers = 4,
  maxDynamicSharedBytes = 8,
};

/// CUtensorMapDataType, CUtensorMapSwizzle, CUtensorMapL2promotion.
inline constexpr int mapOfF16 = 6, mapOfBf16 = 9;
inline constexpr int swizzle128 = 3, promotion256 = 3;

inline constexpr int captureNone = 0;  ///< CU_STREAM_CAPTURE_STATUS_NONE.
inline constexpr int captureModeGlobal = 0;
inline constexpr int captureModeRelaxed = 2;
inline constexpr unsigned streamNonBlocking = 1;

}  // namespace lathe::cuda

// F(member, symbol, parameters): every function of the table. All are in drivers for CUDA 11.4 and
// later; the optional ones are later still.
#define LATHE_CUDA_FUNCTIONS(F, OPTIONAL)                                                          \
  F(init, cuInit, (unsigned flags))                                                                \
  F(driverGetVersion, cuDriverGetVersion, (int* version))                                          \
  F(getErrorName, cuGetErrorName, (Result error, const char** text))                               \
  F(getErrorString, cuGetErrorString, (Result error, const char** text))                           \
  F(deviceGetCount, cuDeviceGetCount, (int* count))                                                \
  F(deviceGet, cuDeviceGet, (DeviceHandle * device, int ordinal))                                  \
  F(deviceGetName, cuDeviceGetName, (char* name, int bytes, DeviceHandle device))                  \
  F(deviceGetAttribute, cuDeviceGetAttribute, (int* value, int attribute, DeviceHandle device))    \
  F(deviceTotalMem, cuDeviceTotalMem_v2, (std::size_t* bytes, DeviceHandle device))                \
  F(primaryRetain, cuDevicePrimaryCtxRetain, (Context * context, DeviceHandle device))             \
  F(ctxGetCurrent, cuCtxGetCurrent, (Context * context))                                           \
  F(ctxGetDevice, cuCtxGetDevice, (DeviceHandle * device))                                         \
  F(ctxPush, cuCtxPushCurrent_v2, (Context context))                                               \
  F(ctxPop, cuCtxPopCurrent_v2, (Context * context))                                               \
  F(ctxSynchronize, cuCtxSynchronize, ())                                                          \
  F(moduleLoadData, cuModuleLoadData, (ModuleHandle * module, const void* image))                  \
  F(moduleUnload, cuModuleUnload, (ModuleHandle module))                                           \
  F(moduleGetFunction, cuModuleGetFunction,                                                        \
    (Function * function, ModuleHandle module, const char* name))                                  \
  F(funcGetAttribute, cuFuncGetAttribute, (int* value, int attribute, Function function))          \
  F(funcSetAttribute, cuFuncSetAttribute, (Function function, int attribute, int value))           \
  F(launchKernel, cuLaunchKernel,                                                                  \
    (Function function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,           \
     unsigned blockY, unsigned blockZ, unsigned sharedBytes, StreamHandle stream,                  \
     void** parameters, void** extra))                                                             \
  F(occupancy, cuOccupancyMaxActiveBlocksPerMultiprocessor,                                        \
    (int* blocks, Function function, int threads, std::size_t sharedBytes))                        \
  F(memAlloc, cuMemAlloc_v2, (Pointer * pointer, std::size_t bytes))                               \
  F(memFree, cuMemFree_v2, (Pointer pointer))                                                      \
  F(memGetInfo, cuMemGetInfo_v2, (std::size_t* free, std::size_t* total))                          \
  F(memcpyToDevice, cuMemcpyHtoDAsync_v2,                                                          \
    (Pointer to, const void* from, std::size_t bytes, StreamHandle stream))                        \
  F(memcpyToHost, cuMemcpyDtoHAsync_v2,                                                            \
    (void* to, Pointer from, std::size_t bytes, StreamHandle stream))                              \
  F(memcpyOnDevice, cuMemcpyDtoDAsync_v2,                                                          \
    (Pointer to, Pointer from, std::size_t bytes, StreamHandle stream))                            \
  F(memset8, cuMemsetD8Async,                                                                      \
    (Pointer to, unsigned char value, std::size_t count, StreamHandle stream))                     \
  F(memset32, cuMemsetD32Async,                                                                    \
    (Pointer to, unsigned value, std::size_t count, StreamHandle stream))                          \
  F(streamCreate, cuStreamCreate, (StreamHandle * stream, unsigned flags))                         \
  F(streamDestroy, cuStreamDestroy_v2, (StreamHandle stream))                                      \
  F(streamSynchronize, cuStreamSynchronize, (StreamHandle stream))                                 \
  F(streamIsCapturing, cuStreamIsCapturing, (StreamHandle stream, int* status))                    \
  F(streamBeginCapture, cuStreamBeginCapture_v2, (StreamHandle stream, int mode))                  \
  F(streamEndCapture, cuStreamEndCapture, (StreamHandle stream, GraphHandle * graph))              \
  F(exchangeCaptureMode, cuThreadExchangeStreamCaptureMode, (int* mode))                           \
  F(graphInstantiate, cuGraphInstantiateWithFlags,                                                 \
    (GraphExec * exec, GraphHandle graph, unsigned long long flags))                               \
  F(graphLaunch, cuGraphLaunch, (GraphExec exec, StreamHandle stream))                             \
  F(graphExecDestroy, cuGraphExecDestroy, (GraphExec exec))                                        \
  F(graphDestroy, cuGraphDestroy, (GraphHandle graph))                                             \
  F(eventCreate, cuEventCreate, (EventHandle * event, unsigned flags))                             \
  F(eventDestroy, cuEventDestroy_v2, (EventHandle event))                                          \
  F(eventRecord, cuEventRecord, (EventHandle event, StreamHandle stream))                          \
  F(eventSynchronize, cuEventSynchronize, (EventHandle event))                                     \
  F(eventElapsed, cuEventElapsedTime, (float* ms, EventHandle begin, EventHandle end))             \
  OPTIONAL(tensorMapEncode, cuTensorMapEncodeTiled,                                                \
           (void* map, int type, unsigned rank, void* data, const unsigned long long* sizes,       \
            const unsigned long long* strides, const unsigned* box, const unsigned* steps,         \
            int interleave, int swizzle, int promotion, int fill))                                 \
  OPTIONAL(ctxGetId, cuCtxGetId, (Context context, unsigned long long* id))

namespace lathe::cuda {

/// The functions of one libcuda; the optional ones may be null.
struct Api {
#define LATHE_MEMBER(member, symbol, parameters) Result(*member) parameters = nullptr;
  LATHE_CUDA_FUNCTIONS(LATHE_MEMBER, LATHE_MEMBER)
#undef LATHE_MEMBER
};

}  // namespace lathe::cuda
