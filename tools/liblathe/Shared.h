// Values that equal requests share.
#pragma once

#include <map>
#include <memory>
#include <mutex>

namespace lathe::abi {

/// Makes each value once, and forgets it when nobody holds it any more. Thread-safe: values of
/// different keys are made at the same time, one value is made by one thread alone.
template <typename Key, typename Value> class Shared {
public:
  /// The value of the key, else what `make` returns, a std::shared_ptr<const Value>.
  template <typename Make> std::shared_ptr<const Value> get(const Key& key, const Make& make) {
    const std::shared_ptr<Slot> slot = slotOf(key);
    const std::lock_guard lock(slot->mutex);
    std::shared_ptr<const Value> value = slot->value.lock();
    if (!value)
      slot->value = value = make();
    return value;
  }

private:
  struct Slot {
    std::mutex mutex;
    std::weak_ptr<const Value> value;
  };

  std::shared_ptr<Slot> slotOf(const Key& key) {
    const std::lock_guard lock(mutex);
    std::erase_if(slots, [](const auto& entry) {
      return entry.second.use_count() == 1 && entry.second->value.expired();
    });
    std::shared_ptr<Slot>& slot = slots[key];
    if (!slot)
      slot = std::make_shared<Slot>();
    return slot;
  }

  std::mutex mutex;
  std::map<Key, std::shared_ptr<Slot>> slots;
};

}  // namespace lathe::abi
