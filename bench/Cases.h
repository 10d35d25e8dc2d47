// The groups of benchmarks, one file each.
#pragma once

namespace lathe::bench {

void registerCompilation();  ///< Text to plan, text to cubin.
void registerCache();        ///< A warm cache to a kernel that can be launched.
void registerProcess();      ///< A new process to a kernel that can be launched.
void registerLaunch();       ///< The host's part of a warm call.
void registerInterpreter();  ///< The oracle, for each token.

/// Whether this process is one that registerProcess started; it has then done its work.
bool runAsChild(int argc, char** argv);

}  // namespace lathe::bench
