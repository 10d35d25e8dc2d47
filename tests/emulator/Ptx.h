// The instructions that templates/device uses, each named after its text (transform.py): results
// first, in the order of the operands. What is asynchronous on a GPU happens at once here, which is
// one of the orders that the PTX memory model allows.
#pragma once

#include "tests/emulator/Numbers.h"
#include "tests/emulator/TensorCores.h"

#include <tuple>
#include <utility>

namespace ptx {

using emulator::Offer;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;

template <class T> T* at(uint32_t address) {
  return reinterpret_cast<T*>(emulator::sharedMemory() + address);
}

// Barriers in shared memory (mbarrier).

struct Mbarrier {
  uint16_t expected, pending;
  std::int16_t pieces;  ///< Of 16 bytes, still to be copied.
  uint16_t phase;

  void check() {
    if (pending > 0 || pieces != 0)
      return;
    pending = expected;
    phase ^= 1;
    emulator::note();
  }
};
static_assert(sizeof(Mbarrier) == 8);

inline void mbarrier_init_shared_cta_b64(uint32_t address, int count) {
  *at<Mbarrier>(address) = {uint16_t(count), uint16_t(count), 0, 0};
}
inline void mbarrier_arrive_shared_cta_b64(uint32_t address, int count = 1) {
  auto* barrier = at<Mbarrier>(address);
  barrier->pending = uint16_t(barrier->pending - count);
  barrier->check();
}
inline void cp_async_mbarrier_arrive_noinc_shared_cta_b64(uint32_t address) {
  mbarrier_arrive_shared_cta_b64(address);
}
inline void mbarrier_expect_tx_relaxed_cta_shared_cta_b64(uint32_t address, int bytes) {
  at<Mbarrier>(address)->pieces = std::int16_t(at<Mbarrier>(address)->pieces + bytes / 16);
}
inline void mbarrier_try_wait_parity_shared_cta_b64(uint32_t& done, uint32_t address, int parity) {
  done = (at<Mbarrier>(address)->phase & 1) != parity;
  if (done)
    emulator::note();
  else
    emulator::yield();
}

// Barriers of warpgroups.

inline void bar_sync(int id) { emulator::meetAt(id, 128); }
inline void barrier_sync(int id, int count) { emulator::meetAt(id, count); }
inline void barrier_red_or_pred(uint32_t& any, uint32_t x, int) {
  Offer offer;
  offer.words[0] = x;
  emulator::meetWarpgroup(offer, [](Offer* const* offers, int count) {
    uint64_t all = 0;
    for (int i = 0; i < count; ++i)
      all |= offers[i]->words[0];
    for (int i = 0; i < count; ++i)
      offers[i]->words[0] = all;
  });
  any = offer.words[0] != 0;
}

inline void fence_proxy_async_shared_cta() {}
inline void setmaxnreg_inc_sync_aligned_u32(int) {}
inline void setmaxnreg_dec_sync_aligned_u32(int) {}

// Copies.

inline void cp_async_cg_shared_global(uint32_t address, const void* global, int valid = 16) {
  std::memset(at<char>(address), 0, 16);
  std::memcpy(at<char>(address), global, std::size_t(valid));
}
inline void cp_async_ca_shared_global(uint32_t address, const void* global, int bytes, int valid) {
  std::memset(at<char>(address), 0, std::size_t(bytes));
  std::memcpy(at<char>(address), global, std::size_t(valid));
}
inline void cp_async_commit_group() {}
inline void cp_async_wait_group(int) {}
inline void cp_async_bulk_commit_group() {}
inline void cp_async_bulk_wait_group(int) {}
inline void cp_async_bulk_wait_group_read(int) {}

/// Calls f(byte in shared memory, element, whether it exists) for a box with 128-byte swizzle.
template <class Function>
void eachOfBox(const void* opaque, uint32_t shared, const int (&first)[4], Function f) {
  const auto& map = *static_cast<const emulator::TensorMap*>(opaque);
  uint32_t place = 0;
  for (uint32_t d = 0; d < map.box[3]; ++d)
    for (uint32_t c = 0; c < map.box[2]; ++c)
      for (uint32_t b = 0; b < map.box[1]; ++b)
        for (uint32_t a = 0; a < map.box[0]; ++a, place += 2) {
          const std::int64_t at[] = {first[0] + std::int64_t(a), first[1] + std::int64_t(b),
                                     first[2] + std::int64_t(c), first[3] + std::int64_t(d)};
          bool exists = true;
          for (int axis = 0; axis < 4; ++axis)
            exists &= at[axis] >= 0 && at[axis] < std::int64_t(map.sizes[axis]);
          char* element = map.data + at[0] * 2;
          for (int axis = 1; axis < 4; ++axis)
            element += at[axis] * std::int64_t(map.strides[axis - 1]);
          uint32_t byte = shared + place;
          byte ^= (byte >> 7 & 7) << 4;
          f(byte, element, exists);
        }
}
inline void cp_async_bulk_tensor_4d_shared_cluster_global_mbarrier_complete_tx_bytes(
    uint32_t shared, const void* map, int a, int b, int c, int d, uint32_t barrier) {
  int bytes = 0;
  eachOfBox(map, shared, {a, b, c, d}, [&](uint32_t byte, const char* element, bool exists) {
    std::memset(at<char>(byte), 0, 2);
    if (exists)
      std::memcpy(at<char>(byte), element, 2);
    bytes += 2;
  });
  at<Mbarrier>(barrier)->pieces = std::int16_t(at<Mbarrier>(barrier)->pieces - bytes / 16);
  at<Mbarrier>(barrier)->check();
}
inline void cp_async_bulk_tensor_4d_global_shared_cta_bulk_group(const void* map, uint32_t shared,
                                                                 int a, int b, int c, int d) {
  eachOfBox(map, shared, {a, b, c, d}, [&](uint32_t byte, char* element, bool exists) {
    if (exists)
      std::memcpy(element, at<char>(byte), 2);
  });
}
inline void prefetch_tensormap(const void*) {}

// Global memory.

inline void st_global_v4_b32(void* global, uint32_t x, uint32_t y, uint32_t z, uint32_t w) {
  const uint32_t words[] = {x, y, z, w};
  std::memcpy(global, words, 16);
}
inline void atom_acq_rel_gpu_global_add_u32(uint32_t& before, uint32_t* address) {
  before = (*address)++;
  emulator::note();
}
inline void red_release_gpu_global_add_u32(uint32_t* address) {
  ++*address;
  emulator::note();
}
inline void ld_acquire_gpu_global_u32(uint32_t& seen, const uint32_t* address) {
  seen = *address;
  emulator::yield();
}
inline void ld_relaxed_gpu_global_v4_u32(uint32_t& x, uint32_t& y, uint32_t& z, uint32_t& w,
                                         const void* global) {
  uint32_t words[4];
  std::memcpy(words, global, 16);
  x = words[0], y = words[1], z = words[2], w = words[3];
}
inline void ld_relaxed_gpu_global_f32(float& x, const float* global) { x = *global; }

// Tensor cores of a warpgroup: the instruction and how its last operands are given.

inline void wgmma_fence_sync_aligned() {}
inline void wgmma_commit_group_sync_aligned() {}
inline void wgmma_wait_group_sync_aligned(int) {}

template <class Element, bool A_IN_REGISTERS, bool A_TRANSPOSED, class... Operands>
void wgmma(bool accumulate, bool columns, Operands&&... operands) {
  auto all = std::forward_as_tuple(operands...);
  emulator::Wgmma own;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((own.accumulator[I] = &std::get<I>(all)), ...);
  }(std::make_index_sequence<32>{});
  if constexpr (A_IN_REGISTERS) {
    own.fragment[0] = std::get<32>(all), own.fragment[1] = std::get<33>(all);
    own.fragment[2] = std::get<34>(all), own.fragment[3] = std::get<35>(all);
    own.b = std::get<36>(all);
  } else {
    own.a = std::get<32>(all);
    own.b = std::get<33>(all);
  }
  own.inRegisters = A_IN_REGISTERS, own.transposed = A_TRANSPOSED;
  own.accumulate = accumulate, own.columns = columns;
  emulator::multiply<Element>(own);
}

#define LATHE_WGMMA(NAME, ELEMENT)                                                                 \
  template <class... T> void NAME##_x_x_p_1_1_0_0(T&&... t) {                                      \
    auto all = std::forward_as_tuple(t...);                                                        \
    wgmma<ELEMENT, false, false>(std::get<34>(all) != 0, false, t...);                             \
  }                                                                                                \
  template <class... T> void NAME##_x_x_1_1_1_1_x(T&&... t) {                                      \
    auto all = std::forward_as_tuple(t...);                                                        \
    wgmma<ELEMENT, false, true>(true, std::get<34>(all) != 0, t...);                               \
  }                                                                                                \
  template <class... T> void NAME##_x_p_1_1_x(T&&... t) {                                          \
    auto all = std::forward_as_tuple(t...);                                                        \
    wgmma<ELEMENT, true, false>(std::get<38>(all) != 0, std::get<37>(all) != 0, t...);             \
  }
LATHE_WGMMA(wgmma_mma_async_sync_aligned_m64n64k16_f32_bf16_bf16, emulator::Bf16)
LATHE_WGMMA(wgmma_mma_async_sync_aligned_m64n64k16_f32_f16_f16, emulator::F16)
#undef LATHE_WGMMA

}  // namespace ptx
