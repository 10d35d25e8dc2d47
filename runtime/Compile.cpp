#include "runtime/Compile.h"

#include "cache/Log.h"

#include <utility>

namespace lathe {

namespace {

Key keyOf(const KernelSource& source, const std::string& arch) {
  if (!source.arch.empty() && source.arch != arch)
    throw Error("kernel " + source.entry + " is of a form that only " + source.arch +
                " runs, and was asked for " + arch + "; ask for its portable form");
  const Nvrtc& nvrtc = Nvrtc::get();
  return makeKey(source.text, nvrtc.options(arch), nvrtc.identity());
}

Entry entryOf(const CompiledKernel& kernel, const Key& key) {
  nlohmann::json metadata = {{"entry", kernel.entry},
                             {"arch", kernel.arch},
                             {"compiler", Nvrtc::get().identity()},
                             {"resources", kernel.resources},
                             {"seconds", kernel.seconds}};
  return {key.text, std::move(metadata), kernel.cubin};
}

/// Throws nlohmann::json::exception where the metadata is not what `entryOf` writes.
std::shared_ptr<const CompiledKernel> kernelOf(Entry entry, const Key& key) {
  CompiledKernel kernel;
  kernel.key = key.hex;
  kernel.entry = entry.metadata.at("entry");
  kernel.arch = entry.metadata.at("arch");
  kernel.resources = entry.metadata.at("resources");
  kernel.seconds = entry.metadata.at("seconds");
  kernel.cubin = std::move(entry.cubin);
  return std::make_shared<const CompiledKernel>(std::move(kernel));
}

}  // namespace

const char* name(Origin origin) {
  return origin == Origin::memory ? "memory" : origin == Origin::disk ? "disk" : "compiled";
}

Kernels::Kernels(Store store) : disk(std::move(store)) {}

std::shared_ptr<Kernels::Slot> Kernels::slotOf(const std::string& key) {
  std::lock_guard lock(mutex);
  std::shared_ptr<Slot>& slot = slots[key];
  if (!slot)
    slot = std::make_shared<Slot>();
  return slot;
}

std::shared_ptr<const CompiledKernel>
Kernels::compile(const KernelSource& source, const std::string& arch, const Key& key) const {
  Compilation compiled;
  try {
    compiled = Nvrtc::get().compile(source.text, source.entry, arch);
  } catch (const CompileError& error) {
    auto kept = disk.keepFailed(key.hex.substr(0, 16) + ".cu", source.text);
    throw CompileError(error.what() + (kept ? "\nthe source is in " + kept->string()
                                            : std::string("\nthe source could not be kept; set "
                                                          "LATHE_CACHE_DIR to a writable folder")),
                       error.log);
  }
  auto kernel = std::make_shared<CompiledKernel>();
  kernel->key = key.hex;
  kernel->entry = source.entry;
  kernel->arch = arch;
  kernel->cubin = std::move(compiled.cubin);
  kernel->resources = compiled.resources;
  kernel->seconds = compiled.seconds;
  log(LogLevel::info, "compiled " + source.entry + " for " + arch + " in " +
                          std::to_string(int(1000 * compiled.seconds)) + " ms");
  disk.publish(key, entryOf(*kernel, key));
  return kernel;
}

Fetched Kernels::get(const KernelSource& source, const std::string& arch) {
  Key key = keyOf(source, arch);
  std::shared_ptr<Slot> slot = slotOf(key.hex);
  std::lock_guard lock(slot->mutex);
  if (slot->kernel)
    return {slot->kernel, Origin::memory};
  if (std::optional<Entry> entry = disk.lookup(key)) {
    try {
      slot->kernel = kernelOf(std::move(*entry), key);
      return {slot->kernel, Origin::disk};
    } catch (const nlohmann::json::exception& error) {
      logOnce(LogLevel::warn, "metadata " + key.hex,
              "cache entry " + key.hex + " lacks metadata (" + error.what() + "); compiling again");
    }
  }
  slot->kernel = compile(source, arch, key);
  return {slot->kernel, Origin::compiled};
}

Fetched Kernels::recompile(const KernelSource& source, const std::string& arch) {
  Key key = keyOf(source, arch);
  std::shared_ptr<Slot> slot = slotOf(key.hex);
  std::lock_guard lock(slot->mutex);
  disk.remove(key);
  slot->kernel = compile(source, arch, key);
  return {slot->kernel, Origin::compiled};
}

}  // namespace lathe
