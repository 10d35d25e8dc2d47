// XLA's calls of Lathe: one handler for each platform. A call's attributes say which kernel it is
// and which of its tensors the operands and results are; python/lathe/jax.py writes them.
#include "python/xla/Kernels.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <optional>
#include <string_view>
#include <xla/ffi/api/ffi.h>

namespace lathe::xla {

namespace ffi = ::xla::ffi;

namespace {

constexpr std::size_t headBytes = 65536;  // of a workspace: zero before its first use
constexpr std::uintptr_t workspaceAlignment = 256;
constexpr std::int64_t stepTokens = 8;

ffi::Error failure(lathe_status status) {
  const auto code = status == LATHE_ERROR_UNSUPPORTED ? ffi::ErrorCode::kUnimplemented
                    : status == LATHE_ERROR_MEMORY    ? ffi::ErrorCode::kResourceExhausted
                    : status == LATHE_ERROR_DEVICE    ? ffi::ErrorCode::kUnavailable
                                                      : ffi::ErrorCode::kInvalidArgument;
  return {code, lathe_last_error()};
}

std::optional<DLDataType> dtypeOf(ffi::DataType dtype) {
  switch (dtype) {
  case ffi::DataType::F32:
    return DLDataType{kDLFloat, 32, 1};
  case ffi::DataType::F16:
    return DLDataType{kDLFloat, 16, 1};
  case ffi::DataType::BF16:
    return DLDataType{kDLBfloat, 16, 1};
  case ffi::DataType::S32:
    return DLDataType{kDLInt, 32, 1};
  case ffi::DataType::S64:
    return DLDataType{kDLInt, 64, 1};
  default:
    return {};
  }
}

std::optional<DLTensor> tensorOf(const ffi::AnyBuffer& buffer, DLDevice device) {
  const std::optional<DLDataType> dtype = dtypeOf(buffer.element_type());
  if (!dtype)
    return {};
  const auto dims = buffer.dimensions();
  // Shapes are only read.
  return DLTensor{buffer.untyped_data(),
                  device,
                  static_cast<std::int32_t>(dims.size()),
                  *dtype,
                  const_cast<std::int64_t*>(dims.begin()),
                  nullptr,
                  0};
}

std::vector<std::string> split(std::string_view names) {
  std::vector<std::string> parts;
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(','), names.size());
    parts.emplace_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return parts;
}

// The driver's cuMemsetD8Async, which XLA has loaded.
using Memset = int (*)(std::uintptr_t, unsigned char, std::size_t, void*);

Memset driverMemset() {
  static const auto found = [] {
    const char* path = std::getenv("LATHE_CUDA_PATH");
    void* driver = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW);
    return driver ? reinterpret_cast<Memset>(dlsym(driver, "cuMemsetD8Async")) : nullptr;
  }();
  return found;
}

bool zero(void* data, std::size_t bytes, void* stream) {
  const Memset set = driverMemset();
  return set && set(reinterpret_cast<std::uintptr_t>(data), 0, bytes, stream) == 0;
}

void* aligned(void* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return reinterpret_cast<void*>((address + workspaceAlignment - 1) / workspaceAlignment *
                                 workspaceAlignment);
}

struct Attributes {
  std::string_view text, variant, dims, dtypes, arguments, results;
  std::int32_t pass;
  bool hasStep;  // whether the GPU has a kernel for few tokens
  ffi::Span<const double> constants;
  ffi::Span<const std::int64_t> shape;  // sequences, tokens of each, heads: to be fastest for
};

// The tensors of a call, in the order of its kernel.
class Tensors {
public:
  Tensors(const Kernel& kernel, DLDevice device) : kernel(kernel), device(device) {
    places.assign(kernel.tensors.size(), nullptr);
    all.reserve(kernel.tensors.size() + 1);
  }

  ffi::Error add(const std::string& name, const ffi::AnyBuffer& buffer) {
    const auto tensor = tensorOf(buffer, device);
    if (!tensor)
      return {ffi::ErrorCode::kInvalidArgument, name + " has a dtype that no kernel takes; it must "
                                                       "be float32, bfloat16 or float16"};
    all.push_back(*tensor);
    if (name == "cu_seqlens") {
      starts = &all.back();
      return ffi::Error::Success();
    }
    const auto found = std::find(kernel.tensors.begin(), kernel.tensors.end(), name);
    if (found == kernel.tensors.end())
      return {ffi::ErrorCode::kInternal, "the kernel has no tensor " + name};
    places[static_cast<std::size_t>(found - kernel.tensors.begin())] = &all.back();
    return ffi::Error::Success();
  }

  const Kernel& kernel;
  DLDevice device;
  std::vector<const DLTensor*> places;
  const DLTensor* starts = nullptr;

private:
  std::vector<DLTensor> all;
};

ffi::Error fill(Tensors& tensors, const Attributes& attributes, const ffi::RemainingArgs& arguments,
                const ffi::RemainingRets& results, void* stream) {
  const auto given = split(attributes.arguments), made = split(attributes.results);
  if (given.size() != arguments.size() || made.size() != results.size())
    return {ffi::ErrorCode::kInternal, "operands and results have other names than there are"};
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto buffer = arguments.get<ffi::AnyBuffer>(i);
    if (!buffer)
      return buffer.error();
    if (ffi::Error error = tensors.add(given[i], *buffer); error.failure())
      return error;
  }
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto buffer = results.get<ffi::AnyBuffer>(i);
    if (!buffer)
      return buffer.error();
    ffi::Result<ffi::AnyBuffer> result = *buffer;
    if (ffi::Error error = tensors.add(made[i], *result); error.failure())
      return error;
    // Tokens that belong to no sequence are not written.
    if (tensors.starts && tensors.device.device_type == kDLCUDA &&
        !zero(result->untyped_data(), result->size_bytes(), stream))
      return {ffi::ErrorCode::kUnavailable, "the driver can't fill memory"};
  }
  return ffi::Error::Success();
}

ffi::Error launch(const Attributes& attributes, const ffi::RemainingArgs& arguments,
                  const ffi::RemainingRets& results, DLDevice device, void* stream,
                  ffi::ScratchAllocator* scratch) {
  KernelRequest request{std::string(attributes.text),
                        std::string(attributes.variant),
                        std::string(attributes.dims),
                        std::string(attributes.dtypes),
                        attributes.pass,
                        device,
                        attributes.shape[0],
                        attributes.shape[1],
                        attributes.shape[2]};
  if (device.device_type == kDLCUDA && request.pass == LATHE_FORWARD && attributes.hasStep &&
      request.tokens <= stepTokens)
    request.pass = LATHE_STEP;
  lathe_status status = LATHE_OK;
  const Kernel kernel = kernelFor(request, status);
  if (!kernel.handle)
    return failure(status);
  Tensors tensors(kernel, device);
  if (ffi::Error error = fill(tensors, attributes, arguments, results, stream); error.failure())
    return error;
  lathe_call call = LATHE_CALL_INIT;
  call.tensors = tensors.places.data();
  call.tensor_count = tensors.places.size();
  call.constants = attributes.constants.begin();
  call.constant_count = attributes.constants.size();
  call.cu_seqlens = tensors.starts;
  if (scratch) {
    status = lathe_workspace(kernel.handle, &call, &call.workspace_bytes);
    if (status != LATHE_OK)
      return failure(status);
    if (call.workspace_bytes) {
      // XLA promises 16 bytes of alignment, and takes no wish for more.
      const std::optional<void*> room =
          scratch->Allocate(call.workspace_bytes + workspaceAlignment, 16);
      if (!room)
        return {ffi::ErrorCode::kResourceExhausted, "there is no memory for a workspace of " +
                                                        std::to_string(call.workspace_bytes) +
                                                        " bytes"};
      call.workspace = aligned(*room);
      if (!zero(call.workspace, std::min(call.workspace_bytes, headBytes), stream))
        return {ffi::ErrorCode::kUnavailable, "the driver can't fill memory"};
    }
  }
  status = lathe_launch(kernel.handle, &call, stream);
  return status == LATHE_OK ? ffi::Error::Success() : failure(status);
}

ffi::Error launchOnCpu(ffi::RemainingArgs arguments, ffi::RemainingRets results,
                       std::string_view text, std::string_view variant, std::string_view dims,
                       std::string_view dtypes, std::string_view names, std::string_view made,
                       std::int32_t pass, bool hasStep, ffi::Span<const double> constants,
                       ffi::Span<const std::int64_t> shape) {
  return launch({text, variant, dims, dtypes, names, made, pass, hasStep, constants, shape},
                arguments, results, {kDLCPU, 0}, nullptr, nullptr);
}

ffi::Error launchOnCuda(void* stream, ffi::ScratchAllocator scratch, std::int32_t device,
                        ffi::RemainingArgs arguments, ffi::RemainingRets results,
                        std::string_view text, std::string_view variant, std::string_view dims,
                        std::string_view dtypes, std::string_view names, std::string_view made,
                        std::int32_t pass, bool hasStep, ffi::Span<const double> constants,
                        ffi::Span<const std::int64_t> shape) {
  return launch({text, variant, dims, dtypes, names, made, pass, hasStep, constants, shape},
                arguments, results, {kDLCUDA, device}, stream, &scratch);
}

template <typename Binding> auto withAttributes(Binding binding) {
  return std::move(binding)
      .RemainingArgs()
      .RemainingRets()
      .template Attr<std::string_view>("text")
      .template Attr<std::string_view>("variant")
      .template Attr<std::string_view>("dims")
      .template Attr<std::string_view>("dtypes")
      .template Attr<std::string_view>("arguments")
      .template Attr<std::string_view>("results")
      .template Attr<std::int32_t>("pass")
      .template Attr<bool>("has_step")
      .template Attr<ffi::Span<const double>>("constants")
      .template Attr<ffi::Span<const std::int64_t>>("shape");
}

}  // namespace

}  // namespace lathe::xla

// The symbols that lathe.jax registers.
extern "C" {
__attribute__((visibility("default"))) XLA_FFI_Error* latheLaunchOnCpu(XLA_FFI_CallFrame* frame);
__attribute__((visibility("default"))) XLA_FFI_Error* latheLaunchOnCuda(XLA_FFI_CallFrame* frame);
}

XLA_FFI_Error* latheLaunchOnCpu(XLA_FFI_CallFrame* frame) {
  using namespace lathe::xla;
  static auto* handler = withAttributes(ffi::Ffi::Bind()).To(launchOnCpu).release();
  return handler->Call(frame);
}

XLA_FFI_Error* latheLaunchOnCuda(XLA_FFI_CallFrame* frame) {
  using namespace lathe::xla;
  static auto* handler = withAttributes(ffi::Ffi::Bind()
                                            .Ctx<ffi::PlatformStream<void*>>()
                                            .Ctx<ffi::ScratchAllocator>()
                                            .Ctx<ffi::DeviceOrdinal>())
                             .To(launchOnCuda)
                             .release();
  return handler->Call(frame);
}
