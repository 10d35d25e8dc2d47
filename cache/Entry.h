// One compiled kernel as one file: fixed header, JSON metadata, the text of the key, the cubin. One
// file, because one rename then publishes all of it: a reader can never pair the cubin of one
// writer with the metadata of another.
//
//   offset  bytes
//        0      8  magic
//        8      4  schema                     (all numbers little-endian)
//       12      4  length of the header, 72
//       16   3 x 8 lengths of metadata, key text, cubin
//       40     32  SHA-256 of the first 40 bytes and of everything after the header
//       72         metadata, key text, cubin
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lathe {

struct Entry {
  std::string keyText;      ///< Key::text; its SHA-256 is the name of the entry.
  nlohmann::json metadata;  ///< An object: what is known of the kernel beside its code.
  std::string cubin;

  bool operator==(const Entry&) const = default;
};

std::string encode(const Entry& entry);

/// The bytes that the entry at the head of `bytes` takes, or nothing where no header stands there.
/// A bundle is entries end to end.
std::optional<std::size_t> entrySize(std::string_view bytes);

/// The entry that is exactly `bytes`. Otherwise nothing, and `problem` says what is wrong with
/// them.
std::optional<Entry> decode(std::string_view bytes, std::string& problem);

}  // namespace lathe
