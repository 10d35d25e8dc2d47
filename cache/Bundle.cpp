#include "cache/Bundle.h"

#include "cache/Sha256.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace lathe {

namespace fs = std::filesystem;

namespace {

/// The entry in a file named as an entry is, or why there is none.
std::optional<Entry> load(const EntryFile& file, std::string& bytes, std::string& problem) {
  FileContent content;
  if (Errno error = readFile(file.path, content)) {
    problem = std::strerror(error);
    return std::nullopt;
  }
  bytes = std::move(content.bytes);
  std::optional<Entry> entry = decode(bytes, problem);
  if (entry && sha256Hex(entry->keyText) != file.key) {
    problem = "it holds another kernel than its name says";
    return std::nullopt;
  }
  return entry;
}

void write(const fs::path& path, std::string_view bytes) {
  if (Errno error = publishFile(fs::absolute(path), fs::absolute(path).parent_path(), bytes))
    throw std::runtime_error("cannot write " + path.string() + ": " + std::strerror(error));
}

void importBytes(const Store& store, std::string_view bytes, const std::string& where,
                 Imported& result) {
  std::string problem;
  std::optional<Entry> entry = decode(bytes, problem);
  if (!entry) {
    result.problems.push_back(where + ": " + problem);
    return;
  }
  Key key{entry->keyText, sha256Hex(entry->keyText)};
  if (store.lookup(key)) {
    ++result.present;
    return;
  }
  if (!store.publish(key, *entry))
    throw std::runtime_error("cannot write to the kernel cache at " +
                             store.options().root.string() +
                             "; it must be writable, and LATHE_CACHE must be rw");
  ++result.added;
}

}  // namespace

std::vector<Listed> list(const fs::path& root) {
  std::vector<Listed> listed;
  for (EntryFile& file : entryFiles(root)) {
    Listed& item = listed.emplace_back(Listed{std::move(file), nullptr, ""});
    std::string bytes;
    if (std::optional<Entry> entry = load(item.file, bytes, item.problem))
      item.metadata = std::move(entry->metadata);
  }
  return listed;
}

Verified verify(const fs::path& root, bool repair) {
  Verified result;
  for (Listed& item : list(root)) {
    if (item.problem.empty()) {
      ++result.good;
      continue;
    }
    if (repair && removeIfUnchanged(item.file.path, item.file.stamp) == 0)
      ++result.removed;
    result.damaged.push_back(std::move(item));
  }
  return result;
}

int exportBundle(const fs::path& root, const std::vector<std::string>& keys,
                 const fs::path& destination) {
  std::vector<EntryFile> files = entryFiles(root);
  for (const std::string& key : keys)
    if (std::none_of(files.begin(), files.end(), [&](auto& file) { return file.key == key; }))
      throw std::runtime_error("the kernel cache at " + root.string() + " has no entry " + key);
  bool folder = fs::is_directory(destination) || !destination.has_filename();
  std::string bundle;
  int count = 0;
  for (const EntryFile& file : files) {
    if (!keys.empty() && std::find(keys.begin(), keys.end(), file.key) == keys.end())
      continue;
    std::string bytes, problem;
    if (!load(file, bytes, problem))
      throw std::runtime_error("damaged cache entry " + file.path.string() + ": " + problem +
                               "; delete it with 'lathe cache verify --repair'");
    if (folder)
      write(entryPath(destination, file.key), bytes);
    else
      bundle += bytes;
    ++count;
  }
  if (!folder)
    write(destination, bundle);
  return count;
}

Imported importBundle(const Store& store, const fs::path& source) {
  Imported result;
  std::vector<fs::path> files;
  if (fs::is_directory(source)) {
    for (const EntryFile& file : entryFiles(source))
      files.push_back(file.path);
  } else {
    files.push_back(source);
  }
  for (const fs::path& path : files) {
    FileContent content;
    if (Errno error = readFile(path, content))
      throw std::runtime_error("cannot read " + path.string() + ": " + std::strerror(error));
    std::string_view rest = content.bytes;
    while (!rest.empty()) {
      std::size_t size = std::min(entrySize(rest).value_or(rest.size()), rest.size());
      std::string where =
          path.string() + " at byte " + std::to_string(content.bytes.size() - rest.size());
      importBytes(store, rest.substr(0, size), where, result);
      rest.remove_prefix(size);
    }
  }
  return result;
}

}  // namespace lathe
