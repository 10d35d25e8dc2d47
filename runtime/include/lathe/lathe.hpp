// Lathe's C ABI (lathe.h, which says what each thing means) for C++17: handles that free
// themselves, exceptions that carry the text, tensors by name. Header only.
#pragma once

#include <array>
#include <lathe/lathe.h>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lathe {

/// What a function of the ABI answered, and lathe_last_error.
class Error : public std::runtime_error {
public:
  Error(lathe_status status, const std::string& text) : std::runtime_error(text), code(status) {}

  lathe_status status() const { return code; }

private:
  lathe_status code;
};

/// A mistake in the text of a spec: what() shows the line with a caret.
class SpecError : public Error {
public:
  using Error::Error;
};

/// An argument, option or tensor that breaks a rule.
class ArgumentError : public Error {
public:
  using Error::Error;
};

inline void check(lathe_status status) {
  if (status == LATHE_OK)
    return;
  const std::string text = lathe_last_error();
  if (status == LATHE_ERROR_SPEC)
    throw SpecError(status, text);
  if (status == LATHE_ERROR_ARGUMENT)
    throw ArgumentError(status, text);
  throw Error(status, text);
}

inline const char* check(const char* text) {
  if (!text)
    throw ArgumentError(LATHE_ERROR_ARGUMENT, lathe_last_error());
  return text;
}

/// The DLPack type of a number.
template <typename T> DLDataType dtypeOf() = delete;
template <> inline DLDataType dtypeOf<float>() { return {kDLFloat, 32, 1}; }
template <> inline DLDataType dtypeOf<std::int32_t>() { return {kDLInt, 32, 1}; }
template <> inline DLDataType dtypeOf<std::int64_t>() { return {kDLInt, 64, 1}; }

inline constexpr DLDataType bf16 = {kDLBfloat, 16, 1}, f16 = {kDLFloat, 16, 1},
                            f32 = {kDLFloat, 32, 1};

/// A view of memory that somebody else owns. Nothing at all, where it is made without arguments.
class Tensor {
public:
  Tensor() = default;

  /// Strides in elements; none: dense, last axis fastest.
  Tensor(void* data, DLDataType dtype, std::vector<std::int64_t> shape,
         std::vector<std::int64_t> strides = {}, DLDevice device = {kDLCPU, 0})
      : sizes(std::move(shape)), steps(std::move(strides)), isGiven(true) {
    if (!steps.empty() && steps.size() != sizes.size())
      throw ArgumentError(LATHE_ERROR_ARGUMENT, "a tensor of " + std::to_string(sizes.size()) +
                                                    " axes was given " +
                                                    std::to_string(steps.size()) + " strides");
    view.data = data;
    view.dtype = dtype;
    view.device = device;
    view.ndim = static_cast<int>(sizes.size());
  }

  /// Dense, on the CPU; const: of what a launch only reads.
  template <typename T>
  Tensor(T* data, std::vector<std::int64_t> shape)
      : Tensor(const_cast<std::remove_const_t<T>*>(data), dtypeOf<std::remove_const_t<T>>(),
               std::move(shape)) {}

  /// The tensor of another library; its shape and strides are copied.
  explicit Tensor(const DLTensor& other)
      : Tensor(other.data, other.dtype, {other.shape, other.shape + other.ndim},
               other.strides ? std::vector<std::int64_t>(other.strides, other.strides + other.ndim)
                             : std::vector<std::int64_t>(),
               other.device) {
    view.byte_offset = other.byte_offset;
  }

  /// `into`, pointing to this tensor; null where there is none.
  const DLTensor* fill(DLTensor& into) const {
    if (!isGiven)
      return nullptr;
    into = view;
    into.shape = const_cast<std::int64_t*>(sizes.data());
    into.strides = steps.empty() ? nullptr : const_cast<std::int64_t*>(steps.data());
    return &into;
  }

private:
  DLTensor view = {};
  std::vector<std::int64_t> sizes, steps;
  bool isGiven = false;
};

/// lathe_variant
class Variant {
public:
  static Variant compile(const std::string& text, const std::string& file = "spec",
                         const std::string& name = "") {
    Variant own;
    check(lathe_compile(text.c_str(), file.c_str(), name.c_str(), &own.handle));
    return own;
  }

  static Variant load(const std::string& name) {
    Variant own;
    check(lathe_load(name.c_str(), &own.handle));
    return own;
  }

  Variant(Variant&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Variant& operator=(Variant&& other) noexcept {
    std::swap(handle, other.handle);
    return *this;
  }
  ~Variant() { lathe_variant_free(handle); }

  std::string json() const { return check(lathe_variant_json(handle)); }
  const lathe_variant* get() const { return handle; }

private:
  Variant() = default;

  lathe_variant* handle = nullptr;
};

/// lathe_options
struct Options {
  std::string dims;            ///< "K=128,V=64"
  std::string dtypes = "f32";  ///< "bf16,g=f32"
  lathe_pass pass = LATHE_FORWARD;
  DLDevice device = {kDLCPU, 0};
  std::int64_t batch = 0, tokens = 0, heads = 0;
};

class Call;

/// lathe_kernel
class Kernel {
public:
  Kernel(const Variant& variant, const Options& options) {
    lathe_options own = LATHE_OPTIONS_INIT;
    own.pass = options.pass;
    own.device = options.device;
    own.dims = options.dims.c_str();
    own.dtypes = options.dtypes.c_str();
    own.batch = options.batch;
    own.tokens = options.tokens;
    own.heads = options.heads;
    check(lathe_prepare(variant.get(), &own, &handle));
    for (std::size_t i = 0; const char* name = lathe_tensor_name(handle, i); ++i)
      tensorNames.emplace_back(name);
  }

  Kernel(Kernel&& other) noexcept
      : handle(std::exchange(other.handle, nullptr)), tensorNames(std::move(other.tensorNames)) {}
  Kernel& operator=(Kernel&& other) noexcept {
    std::swap(handle, other.handle);
    std::swap(tensorNames, other.tensorNames);
    return *this;
  }
  ~Kernel() { lathe_kernel_free(handle); }

  std::string json() const { return check(lathe_kernel_json(handle)); }
  const lathe_kernel* get() const { return handle; }

  /// What a launch takes, in order.
  const std::vector<std::string>& names() const { return tensorNames; }

  std::size_t workspaceBytes(const Call& call) const;
  void launch(const Call& call, void* stream = nullptr) const;

private:
  lathe_kernel* handle = nullptr;
  std::vector<std::string> tensorNames;
};

/// lathe_call, its tensors by name. It may be launched again, with some of them replaced.
class Call {
public:
  /// The kernel must outlive the call.
  explicit Call(const Kernel& kernel) : kernel(&kernel), tensors(kernel.names().size()) {}

  /// Throws ArgumentError for a name that the kernel does not take.
  Call& set(const std::string& name, Tensor tensor) {
    std::string known;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (kernel->names()[i] == name) {
        tensors[i] = std::move(tensor);
        return *this;
      }
      known += (i == 0 ? "" : ", ") + kernel->names()[i];
    }
    throw ArgumentError(LATHE_ERROR_ARGUMENT,
                        "there is no tensor '" + name + "'; the kernel takes " + known);
  }

  std::vector<double> constants;  ///< In the order of Kernel::json; none: the defaults.
  Tensor cuSeqlens, slots;
  void* workspace = nullptr;
  std::size_t workspaceBytes = 0;
  int threads = 0;

private:
  friend class Kernel;

  /// Calls `use` with the struct of the ABI.
  template <typename Use> void with(const Use& use) const {
    std::vector<DLTensor> views(tensors.size());
    std::vector<const DLTensor*> pointers(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i)
      pointers[i] = tensors[i].fill(views[i]);
    std::array<DLTensor, 2> lists;
    lathe_call call = LATHE_CALL_INIT;
    call.tensors = pointers.data();
    call.tensor_count = pointers.size();
    call.constants = constants.data();
    call.constant_count = constants.size();
    call.cu_seqlens = cuSeqlens.fill(lists[0]);
    call.slots = slots.fill(lists[1]);
    call.workspace = workspace;
    call.workspace_bytes = workspaceBytes;
    call.threads = threads;
    use(call);
  }

  const Kernel* kernel;
  std::vector<Tensor> tensors;
};

inline std::size_t Kernel::workspaceBytes(const Call& call) const {
  std::size_t bytes = 0;
  call.with([&](const lathe_call& own) { check(lathe_workspace(handle, &own, &bytes)); });
  return bytes;
}

inline void Kernel::launch(const Call& call, void* stream) const {
  call.with([&](const lathe_call& own) { check(lathe_launch(handle, &own, stream)); });
}

}  // namespace lathe
