#include "tests/emulator/Emulator.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

namespace emulator {

thread_local Index thread, block;

namespace {

constexpr std::size_t stackBytes = 256 << 10;

/// A fixed number of threads that wait for each other, again and again.
struct Meeting {
  std::vector<Offer*> offers;  ///< Of the threads in their order; those that are there.
  std::size_t there = 0;
  unsigned turn = 0;
};

struct Fiber {
  ucontext_t context;
  bool done = false;
  const Meeting* waits = nullptr;  ///< For the meeting to go on to another turn ...
  unsigned turn = 0;               ///< ... than this one.
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Meeting> warps, warpgroups, barriers{16};
  std::vector<char> memory;
  char* shared = nullptr;
  ucontext_t scheduler;
  std::size_t running = 0;
  bool moved = false;  ///< Whether anything but polling happened since the last look.
  const std::function<void()>* kernel = nullptr;
};

thread_local Block* now = nullptr;

void suspend() {
  Block& own = *now;
  swapcontext(&own.fibers[own.running].context, &own.scheduler);
}

/// Of `count` threads, this one being number `place`.
void meet(Meeting& meeting, Offer& offer, std::size_t place, std::size_t count, Work work) {
  Block& own = *now;
  own.moved = true;
  meeting.offers.resize(count);
  meeting.offers[place] = &offer;
  if (++meeting.there == count) {
    if (work)
      work(meeting.offers.data(), int(count));
    meeting.there = 0;
    ++meeting.turn;
    return;
  }
  Fiber& self = own.fibers[own.running];
  self.waits = &meeting;
  self.turn = meeting.turn;
  suspend();
}

void enter() {
  (*now->kernel)();
  now->fibers[now->running].done = true;
  now->moved = true;
  suspend();
}

/// Threads of a group of `size` from `first` on.
std::size_t members(std::size_t first, std::size_t size) {
  return std::min(size, now->fibers.size() - first);
}

/// Every fiber at its start.
void begin(Block& own, char* stacks) {
  for (Fiber& fiber : own.fibers) {
    fiber.done = false;
    fiber.waits = nullptr;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks;
    fiber.context.uc_stack.ss_size = stackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
    stacks += stackBytes;
  }
}

void runBlock(Block& own) {
  std::size_t left = own.fibers.size();
  int idle = 0;
  while (left > 0) {
    own.moved = false;
    for (std::size_t i = 0; i < own.fibers.size(); ++i) {
      Fiber& fiber = own.fibers[i];
      if (fiber.done || (fiber.waits && fiber.waits->turn == fiber.turn))
        continue;
      fiber.waits = nullptr;
      own.running = i;
      thread.x = unsigned(i);
      swapcontext(&own.scheduler, &fiber.context);
      left -= fiber.done;
    }
    idle = own.moved ? 0 : idle + 1;
    if (idle > 3)
      throw std::runtime_error(std::to_string(left) + " threads of block " +
                               std::to_string(block.x) + " wait for each other");
  }
}

}  // namespace

char* sharedMemory() { return now->shared; }

void yield() { suspend(); }

void meetWarp(Offer& offer, Work work) {
  const std::size_t warp = now->running / 32;
  meet(now->warps[warp], offer, now->running % 32, members(warp * 32, 32), work);
}

void meetWarpgroup(Offer& offer, Work work) {
  const std::size_t group = now->running / 128;
  meet(now->warpgroups[group], offer, now->running % 128, 128, work);
}

void meetAt(int id, int count) {
  Offer offer;
  const std::size_t all = count ? std::size_t(count) : now->fibers.size();
  meet(now->barriers[id], offer, now->barriers[id].there, all, nullptr);
}

/// What happened: a poll that succeeded, a number that changed.
void note() { now->moved = true; }

void run(unsigned blocks, unsigned threads, unsigned sharedBytes,
         const std::function<void()>& kernel) {
  Block own;
  own.kernel = &kernel;
  own.fibers.resize(threads);
  own.warps.resize((threads + 31) / 32);
  own.warpgroups.resize((threads + 127) / 128);
  // As little aligned as a GPU promises.
  constexpr std::size_t period = 1024, offset = 128;
  own.memory.resize(sharedBytes + 2 * period);
  auto base = reinterpret_cast<std::uintptr_t>(own.memory.data());
  own.shared = own.memory.data() + (period - base % period) + offset;
  auto* stacks = static_cast<char*>(mmap(nullptr, stackBytes * threads, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stacks == MAP_FAILED)
    throw std::runtime_error("no memory for the stacks of a block");
  const std::unique_ptr<char, std::function<void(char*)>> release(
      stacks, [&](char* all) { munmap(all, stackBytes * threads); });
  Block* const outer = now;
  now = &own;
  for (unsigned b = 0; b < blocks; ++b) {
    block.x = b;
    // A NaN in every dtype: what was not written must not be used.
    std::memset(own.shared, 0xff, sharedBytes);
    begin(own, stacks);
    try {
      runBlock(own);
    } catch (...) {
      now = outer;
      throw;
    }
  }
  now = outer;
}

}  // namespace emulator
