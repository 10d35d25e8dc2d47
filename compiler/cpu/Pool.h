// Threads that wait for work.
#pragma once

#include <functional>

namespace lathe::cpu {

/// Calls task(i) for 0 <= i < tasks on at most `threads` threads, this one among them, and returns
/// when all are done. Tasks are taken in their order, by whichever thread is free. The threads are
/// of the process and sleep between calls. What a task throws is thrown here, once.
void parallelFor(long tasks, int threads, const std::function<void(long)>& task);

/// Threads that this process may run at once.
int processors();

}  // namespace lathe::cpu
