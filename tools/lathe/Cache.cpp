// lathe cache: the kernels on disk.
#include "cache/Bundle.h"
#include "runtime/PtxasReport.h"
#include "tools/lathe/Command.h"
#include "tools/lathe/Number.h"
#include "tools/lathe/Report.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

namespace lathe::tool {

namespace {

struct CacheOptions {
  std::string path, maxBytes;
  std::vector<std::string> keys;
  bool isRepairing = false;
};

std::filesystem::path rootOf(const Store& store) {
  if (store.options().mode == CacheMode::off)
    throw Error("the cache is off (LATHE_CACHE=off)");
  if (store.options().root.empty())
    throw Error("there is no cache folder; name one with LATHE_CACHE_DIR");
  return store.options().root;
}

int listEntries() {
  const std::filesystem::path root = rootOf(Store());
  double bytes = 0;
  Table table({"key", "arch", "kernel", "registers", "spilled", "compiled in", "size"});
  const std::vector<Listed> entries = list(root);
  for (const Listed& entry : entries) {
    bytes += double(entry.file.bytes);
    const std::string key = entry.file.key.substr(0, 16),
                      size = bytesText(double(entry.file.bytes));
    if (!entry.metadata.is_object()) {
      table.add({key, "", "damaged: " + entry.problem, "", "", "", size});
      continue;
    }
    const Resources used = entry.metadata.value("resources", Resources());
    table.add({key, entry.metadata.value("arch", "?"), entry.metadata.value("entry", "?"),
               std::to_string(used.registers), std::to_string(used.spillStoreBytes) + " B",
               timeText(entry.metadata.value("seconds", 0.0)), size});
  }
  if (!entries.empty())
    table.print(std::cout);
  std::cout << entries.size() << " kernels, " << bytesText(bytes) << ", in " << root.string()
            << "\n";
  return 0;
}

int verifyEntries(const CacheOptions& options) {
  const Verified result = verify(rootOf(Store()), options.isRepairing);
  for (const Listed& entry : result.damaged)
    std::cout << entry.file.path.string() << ": " << entry.problem << "\n";
  std::cout << result.good << " good, " << result.damaged.size() << " damaged, " << result.removed
            << " removed\n";
  return int(result.damaged.size()) > result.removed ? exitFailed : 0;
}

int pruneEntries(const CacheOptions& options) {
  std::uint64_t bound = StoreOptions::fromEnvironment().maxBytes;
  try {
    if (!options.maxBytes.empty())
      bound = parseBytes(options.maxBytes);
  } catch (const std::invalid_argument& error) {
    throw UsageError("--max " + options.maxBytes + ": " + error.what());
  }
  std::cout << "freed " << bytesText(double(prune(rootOf(Store()), bound))) << "\n";
  return 0;
}

/// The whole keys of what `list` prints, which are their beginnings.
std::vector<std::string> wholeKeys(const std::filesystem::path& root,
                                   const std::vector<std::string>& beginnings) {
  std::vector<std::string> keys;
  const std::vector<EntryFile> files = entryFiles(root);
  for (const std::string& beginning : beginnings) {
    const std::size_t before = keys.size();
    for (const EntryFile& file : files)
      if (file.key.starts_with(beginning))
        keys.push_back(file.key);
    if (keys.size() == before)
      throw Error("the cache has no kernel " + beginning + "; lathe cache list shows them");
  }
  return keys;
}

int exportEntries(const CacheOptions& options) {
  const std::filesystem::path root = rootOf(Store());
  const int count = exportBundle(root, wholeKeys(root, options.keys), options.path);
  std::cout << count << " kernels to " << options.path << "\n";
  return 0;
}

int importEntries(const CacheOptions& options) {
  const Imported result = importBundle(Store(), options.path);
  for (const std::string& problem : result.problems)
    std::cerr << "lathe: " << problem << "\n";
  std::cout << result.added << " added, " << result.present << " there already, "
            << result.problems.size() << " left out\n";
  return result.problems.empty() ? 0 : exitFailed;
}

}  // namespace

void addCache(CLI::App& app, Action& action) {
  auto options = std::make_shared<CacheOptions>();
  CLI::App* cache =
      addCommand(app, "cache", "List, verify, prune, export and import compiled kernels",
                 "  lathe cache list\n"
                 "  lathe cache verify --repair\n"
                 "  lathe cache prune --max 512M\n"
                 "  lathe cache export kernels.bundle      then, on the other machine:\n"
                 "  lathe cache import kernels.bundle\n"
                 "LATHE_CACHE_DIR names the folder (default ~/.cache/lathe).");
  cache->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& text,
                       int (*what)(const CacheOptions&)) {
    CLI::App* command = cache->add_subcommand(name, text);
    command->callback([options, what, &action] { action = [=] { return what(*options); }; });
    return command;
  };
  add("list", "one line a kernel: key, architecture, entry, size",
      [](const CacheOptions&) { return listEntries(); });
  add("verify", "check every entry against its SHA-256; exit code 1 if damaged ones stay",
      verifyEntries)
      ->add_flag("--repair", options->isRepairing, "delete the damaged ones");
  add("prune", "delete the least recently used", pruneEntries)
      ->add_option("--max", options->maxBytes,
                   "keep at most this much, e.g. 512M; 0 deletes all (default: the bound of "
                   "LATHE_CACHE_MAX_BYTES, 2G)")
      ->type_name("BYTES");
  CLI::App* out = add("export", "write kernels to one file, or to a folder (a path that ends in /)",
                      exportEntries);
  out->add_option("PATH", options->path, "the bundle")->required();
  out->add_option("--key", options->keys, "only these, by the beginnings that list prints")
      ->type_name("KEY");
  add("import", "add the kernels of a bundle, each checked first", importEntries)
      ->add_option("PATH", options->path, "the bundle")
      ->required();
}

}  // namespace lathe::tool
