#include "tools/liblathe/Tensors.h"

#include "tools/liblathe/Failure.h"

#include <algorithm>
#include <optional>

namespace lathe::abi {

namespace {

[[noreturn]] void fail(const std::string& name, const std::string& what) {
  reject("argument '" + name + "' " + what);
}

std::string nameOf(DLDataType dtype) {
  const char* kind = "code";
  switch (dtype.code) {
  case kDLInt:
    kind = "int";
    break;
  case kDLUInt:
    kind = "uint";
    break;
  case kDLFloat:
    kind = "float";
    break;
  case kDLBfloat:
    kind = "bfloat";
    break;
  case kDLComplex:
    kind = "complex";
    break;
  default:
    return "of the DLPack type " + std::to_string(dtype.code) + " with " +
           std::to_string(dtype.bits) + " bits";
  }
  return kind + std::to_string(dtype.bits) +
         (dtype.lanes == 1 ? "" : "x" + std::to_string(dtype.lanes));
}

std::optional<DType> dtypeOf(DLDataType dtype) {
  if (dtype.lanes != 1)
    return std::nullopt;
  if (dtype.code == kDLBfloat && dtype.bits == 16)
    return DType::bf16;
  if (dtype.code == kDLFloat && dtype.bits == 16)
    return DType::f16;
  if (dtype.code == kDLFloat && dtype.bits == 32)
    return DType::f32;
  return std::nullopt;
}

/// Memory that CUDA manages or pins is of the CPU as well.
void checkDevice(const std::string& name, const DLDevice& given, int device) {
  const int type = static_cast<int>(given.device_type);
  if (device < 0) {
    if (type != kDLCPU && type != kDLCUDAHost && type != kDLCUDAManaged)
      fail(name, type == kDLCUDA ? "is on CUDA device " + std::to_string(given.device_id) +
                                       "; the kernel is for the CPU"
                                 : "is on a device of type " + std::to_string(type) +
                                       "; the kernel is for the CPU (1)");
    return;
  }
  const std::string wanted = "; the kernel is for CUDA device " + std::to_string(device);
  if (type != kDLCUDA && type != kDLCUDAManaged)
    fail(name,
         (type == kDLCPU ? "is on the CPU" : "is on a device of type " + std::to_string(type)) +
             wanted);
  if (type == kDLCUDA && given.device_id != device)
    fail(name, "is on CUDA device " + std::to_string(given.device_id) + wanted);
}

void checkAxes(const std::string& name, const DLTensor& tensor) {
  if (tensor.ndim < 0)
    fail(name, "has " + std::to_string(tensor.ndim) + " axes; there must be 0 or more");
  if (tensor.ndim > 0 && !tensor.shape)
    fail(name, "has " + std::to_string(tensor.ndim) + " axes, but its shape is null");
}

std::byte* dataOf(const DLTensor& tensor) {
  auto* data = static_cast<std::byte*>(tensor.data);
  return data ? data + tensor.byte_offset : nullptr;
}

/// Of a dense tensor where the caller has none.
void readAxes(const DLTensor& tensor, std::vector<std::int64_t>& shape,
              std::vector<std::int64_t>& strides) {
  const auto axes = static_cast<std::size_t>(tensor.ndim);
  shape.assign(tensor.shape, tensor.shape + axes);
  if (tensor.strides) {
    strides.assign(tensor.strides, tensor.strides + axes);
    return;
  }
  strides.assign(axes, 1);
  for (std::size_t axis = axes; axis-- > 1;)
    strides[axis - 1] = strides[axis] * shape[axis];
}

std::string namesOf(const std::vector<TensorRule>& rules) {
  std::string names;
  for (const TensorRule& rule : rules)
    names += (names.empty() ? "" : ", ") + rule.name;
  return names;
}

}  // namespace

void readTensors(const std::vector<TensorRule>& rules, const lathe_call& call, int device,
                 std::vector<TensorView>& tensors) {
  if (call.tensor_count != rules.size())
    reject(std::to_string(call.tensor_count) + " tensors were given; the kernel takes " +
           std::to_string(rules.size()) + ": " + namesOf(rules));
  if (!call.tensors && !rules.empty())
    reject("lathe_call.tensors is null; it must point to " + std::to_string(rules.size()) +
           " tensors: " + namesOf(rules));
  tensors.resize(rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const TensorRule& rule = rules[i];
    const DLTensor* given = call.tensors[i];
    TensorView& view = tensors[i];
    view.data = nullptr;
    if (!given) {
      if (!rule.isOptional)
        fail(rule.name, "is null; the kernel needs it");
      view.shape.clear();
      view.strides.clear();
      continue;
    }
    checkDevice(rule.name, given->device, device);
    const std::optional<DType> dtype = dtypeOf(given->dtype);
    if (dtype != rule.dtype)
      fail(rule.name, "is " + (dtype ? std::string(name(*dtype)) : nameOf(given->dtype)) +
                          "; it must be " + name(rule.dtype));
    checkAxes(rule.name, *given);
    readAxes(*given, view.shape, view.strides);
    view.data = dataOf(*given);
    view.dtype = *dtype;
    view.device = std::max(device, 0);
    const bool isEmpty = std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
    if (!view.data && rule.isOptional && !isEmpty)
      fail(rule.name, "has no data; pass a null tensor where there is none");
  }
}

IndexView readList(const char* name, const DLTensor* list, int device) {
  IndexView view;
  if (!list)
    return view;
  checkDevice(name, list->device, device);
  checkAxes(name, *list);
  const DLDataType dtype = list->dtype;
  if (dtype.code != kDLInt || dtype.lanes != 1 || (dtype.bits != 32 && dtype.bits != 64))
    fail(name, "is " + nameOf(dtype) + "; it must be int32 or int64");
  if (list->ndim != 1)
    fail(name, "has " + std::to_string(list->ndim) + " axes; it must have 1");
  view.data = dataOf(*list);
  view.bits = dtype.bits;
  readAxes(*list, view.shape, view.strides);
  view.device = std::max(device, 0);
  return view;
}

std::span<const double> readConstants(const Kernel& kernel, const lathe_call& call) {
  if (call.constant_count == 0)
    return {};
  if (call.constant_count != kernel.constants.size())
    reject(std::to_string(call.constant_count) + " constants were given; the kernel takes " +
           std::to_string(kernel.constants.size()) + ", or 0 for the defaults");
  if (!call.constants)
    reject("lathe_call.constants is null; it must point to " +
           std::to_string(kernel.constants.size()) + " numbers, or constant_count be 0");
  return {call.constants, call.constant_count};
}

}  // namespace lathe::abi
