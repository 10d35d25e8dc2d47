// The functions of lathe.h: arguments checked, handles opened, exceptions kept.
#include "cache/Evict.h"
#include "cache/Store.h"
#include "lathe/lathe.h"
#include "tools/liblathe/Failure.h"
#include "tools/liblathe/Kernel.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

using namespace lathe;
using namespace lathe::abi;

struct lathe_variant {
  std::shared_ptr<const Variant> variant;
};

struct lathe_kernel {
  std::shared_ptr<const Kernel> kernel;
  std::string json;
};

namespace {

std::atomic<lathe_tuning> tuning = LATHE_TUNING_LOOKUP;

/// LATHE_TUNING=off wins over what the program asked for.
lathe_tuning tuningMode() {
  const char* named = std::getenv("LATHE_TUNING");
  return named && std::strcmp(named, "off") == 0 ? LATHE_TUNING_OFF : tuning.load();
}

template <typename T> void require(const T* pointer, const char* name) {
  if (!pointer)
    reject(std::string(name) + " is null");
}

const lathe_call& checked(const lathe_kernel* kernel, const lathe_call* call) {
  require(kernel, "kernel");
  require(call, "call");
  checkSize("lathe_call", call->struct_size, sizeof(lathe_call));
  return *call;
}

StoreOptions writableCache() {
  StoreOptions options = StoreOptions::fromEnvironment();
  if (options.mode != CacheMode::readWrite)
    reject(std::string("the cache is ") + (options.mode == CacheMode::off ? "off" : "read-only") +
           "; LATHE_CACHE=rw lets it be pruned");
  if (options.root.empty())
    reject("there is no cache folder; name one with LATHE_CACHE_DIR");
  return options;
}

std::string describeCache() {
  const StoreOptions options = StoreOptions::fromEnvironment();
  std::uint64_t kernels = 0, used = 0;
  if (options.mode != CacheMode::off && !options.root.empty())
    for (const EntryFile& file : entryFiles(options.root)) {
      ++kernels;
      used += file.bytes;
    }
  const char* mode = options.mode == CacheMode::off        ? "off"
                     : options.mode == CacheMode::readOnly ? "ro"
                                                           : "rw";
  const nlohmann::json folder =
      options.root.empty() ? nlohmann::json() : nlohmann::json(options.root.string());
  return nlohmann::json{{"folder", folder},
                        {"mode", mode},
                        {"kernels", kernels},
                        {"bytes", used},
                        {"max_bytes", options.maxBytes}}
      .dump();
}

}  // namespace

std::int32_t lathe_abi_version() { return LATHE_ABI_VERSION; }

const char* lathe_version() { return LATHE_VERSION; }

const char* lathe_last_error() { return lastError(); }

lathe_status lathe_compile(const char* text, const char* file, const char* name,
                           lathe_variant** variant) {
  return guarded([&] {
    require(variant, "variant");
    *variant = nullptr;
    require(text, "text");
    *variant = new lathe_variant{compileText(text, file ? file : "spec", name ? name : "")};
  });
}

lathe_status lathe_load(const char* name, lathe_variant** variant) {
  return guarded([&] {
    require(variant, "variant");
    *variant = nullptr;
    require(name, "name");
    *variant = new lathe_variant{loadFromLibrary(name)};
  });
}

const char* lathe_variant_json(const lathe_variant* variant) {
  const lathe_status status = guarded([&] { require(variant, "variant"); });
  return status == LATHE_OK ? variant->variant->json.c_str() : nullptr;
}

void lathe_variant_free(lathe_variant* variant) { delete variant; }

lathe_status lathe_prepare(const lathe_variant* variant, const lathe_options* options,
                           lathe_kernel** kernel) {
  return guarded([&] {
    require(kernel, "kernel");
    *kernel = nullptr;
    require(variant, "variant");
    require(options, "options");
    const std::shared_ptr<const Variant>& own = variant->variant;
    const Request request = readOptions(*own, *options);
    const Prepared prepared = request.isCuda ? prepareCuda(own, request, tuningMode())
                                             : prepareCpu(own, request, tuningMode());
    *kernel = new lathe_kernel{prepared.kernel, describe(*own, request, prepared)};
  });
}

const char* lathe_kernel_json(const lathe_kernel* kernel) {
  const lathe_status status = guarded([&] { require(kernel, "kernel"); });
  return status == LATHE_OK ? kernel->json.c_str() : nullptr;
}

const char* lathe_tensor_name(const lathe_kernel* kernel, std::size_t index) {
  const lathe_status status = guarded([&] { require(kernel, "kernel"); });
  if (status != LATHE_OK || index >= kernel->kernel->tensors.size())
    return nullptr;
  return kernel->kernel->tensors[index].name.c_str();
}

void lathe_kernel_free(lathe_kernel* kernel) { delete kernel; }

lathe_status lathe_workspace(const lathe_kernel* kernel, const lathe_call* call,
                             std::size_t* bytes) {
  return guarded([&] {
    require(bytes, "bytes");
    *bytes = 0;
    const lathe_call& own = checked(kernel, call);
    *bytes = kernel->kernel->workspaceBytes(own);
  });
}

lathe_status lathe_launch(const lathe_kernel* kernel, const lathe_call* call, void* stream) {
  return guarded([&] {
    const lathe_call& own = checked(kernel, call);
    kernel->kernel->launch(own, stream);
  });
}

lathe_status lathe_set_tuning(std::int32_t mode) {
  return guarded([&] {
    if (mode < LATHE_TUNING_OFF || mode > LATHE_TUNING_TUNE)
      reject("mode is " + std::to_string(mode) +
             "; it must be LATHE_TUNING_OFF (0), LATHE_TUNING_LOOKUP (1) or LATHE_TUNING_TUNE "
             "(2)");
    tuning = static_cast<lathe_tuning>(mode);
  });
}

const char* lathe_cache_json() {
  thread_local std::string json;
  return guarded([] { json = describeCache(); }) == LATHE_OK ? json.c_str() : nullptr;
}

lathe_status lathe_cache_prune(std::uint64_t maxBytes, std::uint64_t* freed) {
  return guarded([&] {
    const std::uint64_t all = prune(writableCache().root, maxBytes);
    if (freed)
      *freed = all;
  });
}
