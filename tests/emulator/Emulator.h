// The threads of a block as fibers of one thread of this machine, each of which runs until it waits
// for others. Who is not there when the rest can go on no more is reported: a deadlock.
#pragma once

#include <cstdint>
#include <functional>

namespace emulator {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

/// Where the running fiber stands.
extern thread_local Index thread, block;

/// The shared memory of the running block.
char* sharedMemory();

/// Lets others run: this fiber polls for what another will do.
void yield();
/// Something happened that others may poll for.
void note();

/// What one thread brings to a meeting, and the work that is done when all are there.
constexpr int mostOperands = 48;
struct Offer {
  std::uint64_t words[mostOperands];
};
/// `offers` in the order of the threads.
using Work = void (*)(Offer* const* offers, int count);

/// Meets the other lanes of the warp, or the other threads of the warpgroup; the last one to come
/// does the work for all.
void meetWarp(Offer& offer, Work work);
void meetWarpgroup(Offer& offer, Work work);
/// Meets `count` threads at barrier `id`; 0: all of the block.
void meetAt(int id, int count);

/// Runs a grid of one dimension, block by block. Throws std::runtime_error on a deadlock.
void run(unsigned blocks, unsigned threads, unsigned sharedBytes,
         const std::function<void()>& kernel);

}  // namespace emulator
