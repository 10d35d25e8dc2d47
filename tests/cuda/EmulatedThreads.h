// What a generated kernel takes for granted of CUDA, for the processor: the threads of a block are
// fibers of one thread, which run until they wait for each other. Warps take turns in an order that
// a seed decides, so that a barrier that is missing shows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <ucontext.h>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(threads, blocks)
#define __align__(bytes) alignas(bytes)

using std::max;
using std::min;

struct EmulatedIndex {
  int x = 0;
};
inline EmulatedIndex threadIdx, blockIdx;
inline char* emulatedShared;

namespace emulated {

enum class Wait { none, warp, block };

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(std::size_t(1) << 16);
  Wait wait = Wait::none;
  bool isDone = false;
  int turn = 0;
};

inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline float exchanged[2][1024];

inline Fiber& self() { return fibers[std::size_t(threadIdx.x)]; }

inline void waitFor(Wait what) {
  Fiber& own = self();
  own.wait = what;
  swapcontext(&own.context, &scheduler);
}

/// Lets the threads of a warp run until all wait for the block or are done.
inline void runWarp(int warp) {
  const auto begin = fibers.begin() + warp * 32, end = begin + 32;
  for (bool ran = true; ran;) {
    ran = false;
    for (auto fiber = begin; fiber != end; ++fiber) {
      if (fiber->isDone || fiber->wait != Wait::none)
        continue;
      threadIdx.x = int(fiber - fibers.begin());
      swapcontext(&scheduler, &fiber->context);
      ran = true;
    }
    if (std::all_of(begin, end, [](const Fiber& one) { return one.wait == Wait::warp; })) {
      for (auto fiber = begin; fiber != end; ++fiber)
        fiber->wait = Wait::none;
      ran = true;
    }
  }
}

/// False where threads wait for others that never come.
inline bool runBlock(int threads, void (*entry)(), std::mt19937& random) {
  fibers = std::vector<Fiber>(std::size_t(threads));
  for (Fiber& fiber : fibers) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
  }
  std::vector<int> warps;
  for (int warp = 0; warp < threads / 32; ++warp)
    warps.push_back(warp);
  const auto isDone = [](const Fiber& one) { return one.isDone; };
  while (!std::all_of(fibers.begin(), fibers.end(), isDone)) {
    std::shuffle(warps.begin(), warps.end(), random);
    for (int warp : warps)
      runWarp(warp);
    if (std::all_of(fibers.begin(), fibers.end(), isDone))
      break;
    for (Fiber& fiber : fibers) {
      if (fiber.isDone || fiber.wait != Wait::block)
        return false;
      fiber.wait = Wait::none;
    }
  }
  return true;
}

/// Every block of a launch, one after the other, its shared memory full of NaN at the start.
inline bool runGrid(int blocks, int threads, std::size_t sharedBytes, unsigned seed,
                    void (*entry)()) {
  constexpr std::size_t alignment = 128;
  std::vector<char> memory(sharedBytes + alignment);
  emulatedShared =
      memory.data() + (alignment - reinterpret_cast<std::uintptr_t>(memory.data()) % alignment);
  std::mt19937 random(seed);
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    std::fill_n(reinterpret_cast<float*>(emulatedShared), sharedBytes / sizeof(float),
                std::numeric_limits<float>::quiet_NaN());
    if (!runBlock(threads, entry, random))
      return false;
  }
  return true;
}

inline void finish() {
  Fiber& own = self();
  own.isDone = true;
  swapcontext(&own.context, &scheduler);
}

}  // namespace emulated

inline void __syncthreads() { emulated::waitFor(emulated::Wait::block); }
inline void __syncwarp() { emulated::waitFor(emulated::Wait::warp); }

inline float __shfl_xor_sync(unsigned, float x, int offset) {
  const int lane = threadIdx.x;
  const int turn = emulated::self().turn ^= 1;
  emulated::exchanged[turn][lane] = x;
  __syncwarp();
  return emulated::exchanged[turn][lane ^ offset];
}

template <class To, class From> inline To emulatedCast(From x) {
  To result;
  std::memcpy(&result, &x, sizeof(result));
  return result;
}
inline float __uint_as_float(std::uint32_t x) { return emulatedCast<float>(x); }
inline float __int_as_float(std::int32_t x) { return emulatedCast<float>(x); }
inline std::uint32_t __float_as_uint(float x) { return emulatedCast<std::uint32_t>(x); }
