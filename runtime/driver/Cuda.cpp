#include "runtime/driver/Cuda.h"

#include "runtime/Error.h"
#include "runtime/driver/Library.h"

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <pthread.h>

namespace lathe::cuda {

namespace {

Api load() {
  const char* given = std::getenv("LATHE_CUDA_PATH");
  std::string file = given && *given ? given : "libcuda.so.1", problem;
  Library library = Library::open(file, problem);
  if (!library)
    throw Error("there is no CUDA driver: " + problem +
                (given && *given ? "; LATHE_CUDA_PATH must name a libcuda.so.1"
                                 : "; install the NVIDIA driver, or in a container pass the GPU "
                                   "in (--gpus all)"));
  Api api;
  auto find = [&](const char* symbol, bool required) {
    void* address = library.find(symbol);
    if (!address && required)
      throw Error("the CUDA driver " + library.path() + " has no " + symbol +
                  "; Lathe needs a driver for CUDA 11.4 or later");
    return address;
  };
#define LATHE_REQUIRED(member, symbol, parameters)                                                 \
  api.member = reinterpret_cast<decltype(api.member)>(find(#symbol, true));
#define LATHE_OPTIONAL(member, symbol, parameters)                                                 \
  api.member = reinterpret_cast<decltype(api.member)>(find(#symbol, false));
  LATHE_CUDA_FUNCTIONS(LATHE_REQUIRED, LATHE_OPTIONAL)
#undef LATHE_REQUIRED
#undef LATHE_OPTIONAL
  if (Result result = api.init(0)) {
    const char* text = nullptr;
    api.getErrorString(result, &text);
    throw Error("the CUDA driver " + library.path() +
                " does not start: " + (text ? text : "error " + std::to_string(result)));
  }
  return api;
}

std::atomic<bool> isForked = false;

Context primaryContext(int device) {
  static std::mutex mutex;
  static std::map<int, Context> contexts;
  std::lock_guard lock(mutex);
  Context& context = contexts[device];
  if (!context) {
    DeviceHandle handle;
    check(api().deviceGet(&handle, device), "device " + std::to_string(device));
    check(api().primaryRetain(&context, handle),
          "the primary context of device " + std::to_string(device));
  }
  return context;
}

}  // namespace

const Api& api() {
  // A failure throws out of the initialisation, which the next call tries again.
  static const Api table = [] {
    Api loaded = load();
    pthread_atfork(nullptr, nullptr, [] { isForked = true; });
    return loaded;
  }();
  return table;
}

void checkProcess() {
  if (isForked)
    throw Error("CUDA was in use before this process was forked off, and cannot be used in it; "
                "start it anew instead (in Python: multiprocessing's start method 'spawn')");
}

bool available(std::string* problem) {
  try {
    api();
    return true;
  } catch (const Error& error) {
    if (problem)
      *problem = error.what();
    return false;
  }
}

std::string describe(Result result) {
  const char *name = nullptr, *text = nullptr;
  api().getErrorName(result, &name);
  api().getErrorString(result, &text);
  if (!name)
    return "CUDA error " + std::to_string(result);
  return std::string(name) + (text ? " (" + std::string(text) + ")" : "");
}

void check(Result result, const std::string& asked) {
  if (result != success)
    throw Error(asked + ": " + describe(result));
}

unsigned long long contextId(Context context) {
  unsigned long long id = 0;
  if (api().ctxGetId && api().ctxGetId(context, &id) == success)
    return id;
  return reinterpret_cast<unsigned long long>(context);
}

/// Whether the context that is current is on a device. Ids are never used again, so that what was
/// found once need not be asked on every launch.
static bool isCurrentOn(unsigned long long id, int device) {
  thread_local unsigned long long knownId = 0;
  thread_local int knownDevice = -1;
  const bool hasIds = api().ctxGetId != nullptr;
  if (hasIds && id == knownId && device == knownDevice)
    return true;
  DeviceHandle handle = -1, wanted = -1;
  if (api().ctxGetDevice(&handle) != success || api().deviceGet(&wanted, device) != success ||
      handle != wanted)
    return false;
  knownId = id;
  knownDevice = device;
  return true;
}

ContextScope::ContextScope(int device) {
  checkProcess();
  check(api().ctxGetCurrent(&current), "the current context");
  if (current) {
    currentId = contextId(current);
    if (isCurrentOn(currentId, device))
      return;
  }
  current = primaryContext(device);
  currentId = contextId(current);
  check(api().ctxPush(current),
        "to make the context of device " + std::to_string(device) + " current");
  pushed = true;
}

ContextScope::~ContextScope() {
  Context popped;
  if (pushed)
    api().ctxPop(&popped);
}

RelaxedCapture::RelaxedCapture() { api().exchangeCaptureMode(&mode); }

RelaxedCapture::~RelaxedCapture() { api().exchangeCaptureMode(&mode); }

}  // namespace lathe::cuda
