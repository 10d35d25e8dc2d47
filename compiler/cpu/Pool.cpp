#include "compiler/cpu/Pool.h"

#include "compiler/cpu/OfProcess.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

namespace lathe::cpu {

namespace {

/// One call of parallelFor. The caller waits until no helper is inside.
struct Job {
  long tasks;
  const std::function<void(long)>* task;
  std::atomic<long> next = 0;
  int inside = 0;  ///< Guarded by the pool's mutex.
  std::condition_variable left;
  std::exception_ptr failure;
  std::once_flag failed;

  void work() {
    for (long i; (i = next++) < tasks;) {
      try {
        (*task)(i);
      } catch (...) {
        std::call_once(failed, [&] { failure = std::current_exception(); });
        next = tasks;
      }
    }
  }
};

/// Its threads sleep until the process ends, and nothing waits for them then.
class Pool {
public:
  void run(Job& job, int helpers) {
    {
      const std::lock_guard lock(mutex);
      while (threads < helpers && start())
        ++threads;
      for (int i = 0; i < helpers; ++i)
        waiting.push_back(&job);
    }
    for (int i = 0; i < helpers; ++i)
      arrived.notify_one();
    job.work();
    std::unique_lock lock(mutex);
    std::erase(waiting, &job);
    job.left.wait(lock, [&] { return job.inside == 0; });
  }

private:
  /// False where the system gives no more threads: those that are there do the work.
  bool start() {
    try {
      std::thread([this] { serve(); }).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  void serve() {
    std::unique_lock lock(mutex);
    while (true) {
      arrived.wait(lock, [&] { return !waiting.empty(); });
      Job& job = *waiting.front();
      waiting.pop_front();
      ++job.inside;
      lock.unlock();
      job.work();
      lock.lock();
      --job.inside;
      job.left.notify_all();
    }
  }

  std::mutex mutex;
  std::condition_variable arrived;
  std::deque<Job*> waiting;  ///< A job once for each helper that it wants.
  int threads = 0;
};

}  // namespace

int processors() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

void parallelFor(long tasks, int threads, const std::function<void(long)>& task) {
  Job job;
  job.tasks = tasks;
  job.task = &task;
  const long helpers = std::min<long>(threads, tasks) - 1;
  if (helpers > 0)
    ofProcess<Pool>().run(job, static_cast<int>(helpers));
  else
    job.work();
  if (job.failure)
    std::rethrow_exception(job.failure);
}

}  // namespace lathe::cpu
