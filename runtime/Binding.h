// The rules of a call: what each argument must be, and the texts for those that are not.
#pragma once

#include "runtime/Launch.h"

namespace lathe::binding {

/// Of one launch.
struct Sizes {
  std::int64_t batch = 0, tokens = 0, heads = 0;
  int device = 0;
};

/// What the call must pass for one tensor of the kernel.
Binder::Slot slotOf(const Plan& plan, const KernelSource::Slot& slot, const Signature& signature);

/// The size of the kernel's argument.
std::size_t bytes(std::size_t tensors, std::size_t constants, std::size_t maps = 0);

/// Every argument by itself, then all with each other. Throws ArgumentError.
Sizes check(std::span<const Binder::Slot> slots, std::span<const TensorView> arguments);

/// Throws ArgumentError unless each `count` neighbouring heads of the launch share one of the
/// input.
void checkShared(const Binder::Slot& slot, const TensorView& tensor, const Sizes& sizes, int count);

/// Thread blocks of the launch. Throws ArgumentError where a number is too large for one.
unsigned gridOf(const Sizes& sizes, int tiles);

/// A checked argument as the kernel sees it.
KernelTensor pack(const Binder::Slot& slot, const TensorView& tensor, std::int64_t heads);

/// The tensors of a call in the order of the slots. Throws ArgumentError for missing and unknown
/// names.
std::vector<TensorView> arguments(const std::string& variant, std::span<const Binder::Slot> slots,
                                  const Call& call);

std::string names(std::span<const Binder::Slot> slots);
std::string join(const std::vector<std::string>& words);

}  // namespace lathe::binding
