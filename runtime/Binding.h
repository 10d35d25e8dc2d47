// The rules of a call: what each argument must be, and the texts for those that are not.
#pragma once

#include "runtime/Launch.h"

#include <optional>

namespace lathe::binding {

/// Of one launch.
struct Sizes {
  std::int64_t batch = 0;   ///< Sequences.
  std::int64_t tokens = 0;  ///< Of a sequence, or of all that are packed.
  std::int64_t heads = 0;
  int device = 0;
  bool isPacked = false;

  /// Of a sequence: of packed ones the mean, as only the GPU knows more.
  std::int64_t usualTokens() const {
    return isPacked && batch > 0 ? (tokens + batch - 1) / batch : tokens;
  }
};

/// What the call must pass for one tensor of the kernel.
Binder::Slot slotOf(const Plan& plan, const KernelSource::Slot& slot, const Signature& signature);

/// The size of the kernel's argument.
std::size_t bytes(std::size_t tensors, std::size_t constants);

/// Every argument by itself, then all with each other. Throws ArgumentError.
Sizes check(std::span<const Binder::Slot> slots, std::span<const TensorView> arguments,
            const IndexLists& lists);

/// How many sequences cu_seqlens packs, and how many rows of states are named, each list checked by
/// itself; none where the call has no such list. Throws ArgumentError.
std::optional<std::int64_t> packedSequences(const IndexLists& lists);
std::optional<std::int64_t> slotCount(const IndexLists& lists);

/// Thread blocks of the launch. Throws ArgumentError where a number is too large for one.
unsigned gridOf(const Sizes& sizes, int tiles);

/// Whether a state of two axes is dense with the first of them inside: [V,K] where it is declared
/// [K,V].
bool isExchanged(const Binder::Slot& slot, const TensorView& tensor);

/// A checked argument as the kernel sees it.
KernelTensor pack(const Binder::Slot& slot, const TensorView& tensor, std::int64_t heads);
KernelSizes pack(const Sizes& sizes, const IndexLists& lists, int tiles);

/// The tensors of a call in the order of the slots. Throws ArgumentError for missing and unknown
/// names.
std::vector<TensorView> arguments(const std::string& variant, std::span<const Binder::Slot> slots,
                                  const Call& call);

[[noreturn]] void fail(const std::string& name, const std::string& rule);
[[noreturn]] void fail(const Binder::Slot& slot, const std::string& rule);
std::string text(std::int64_t number);
std::string text(const std::vector<std::int64_t>& shape);  ///< "[2, 3]"
std::string names(std::span<const Binder::Slot> slots);
std::string join(const std::vector<std::string>& words);

}  // namespace lathe::binding
