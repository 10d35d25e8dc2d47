#include "python/xla/Kernels.h"

#include <map>
#include <mutex>
#include <tuple>

namespace lathe::xla {

namespace {

auto keyOf(const KernelRequest& request) {
  return std::tuple(request.text, request.variant, request.dims, request.dtypes, request.pass,
                    static_cast<int>(request.device.device_type), request.device.device_id,
                    request.batch, request.tokens, request.heads);
}

struct Known {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, lathe_variant*> variants;
  std::map<decltype(keyOf({})), Kernel> kernels;
};

// Never destroyed: threads of XLA may still run at exit.
Known& known() {
  static Known* const all = new Known;
  return *all;
}

}  // namespace

Kernel kernelFor(const KernelRequest& request, lathe_status& status) {
  Known& all = known();
  const std::lock_guard lock(all.mutex);
  status = LATHE_OK;
  Kernel& kernel = all.kernels[keyOf(request)];
  if (kernel.handle)
    return kernel;
  lathe_variant*& variant = all.variants[{request.text, request.variant}];
  if (!variant)
    status = lathe_compile(request.text.c_str(), "spec", request.variant.c_str(), &variant);
  if (status != LATHE_OK)
    return {};
  lathe_options options = LATHE_OPTIONS_INIT;
  options.pass = request.pass;
  options.device = request.device;
  options.dims = request.dims.c_str();
  options.dtypes = request.dtypes.c_str();
  options.batch = request.batch;
  options.tokens = request.tokens;
  options.heads = request.heads;
  lathe_kernel* made = nullptr;
  status = lathe_prepare(variant, &options, &made);
  if (status != LATHE_OK)
    return {};
  for (std::size_t place = 0; const char* name = lathe_tensor_name(made, place); ++place)
    kernel.tensors.emplace_back(name);
  kernel.handle = made;
  return kernel;
}

}  // namespace lathe::xla
