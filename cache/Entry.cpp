#include "cache/Entry.h"

#include "cache/Key.h"
#include "cache/Sha256.h"

#include <array>
#include <cstdint>

namespace lathe {

namespace {

constexpr std::string_view magic("\x89LATHE\r\n", 8);
constexpr std::size_t digestOffset = 40;
constexpr std::size_t headerSize = 72;
// Far above any kernel, far below what a damaged length could ask for.
constexpr std::uint64_t maxSection = std::uint64_t(1) << 30;

void append(std::string& bytes, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i)
    bytes.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t number(std::string_view bytes, std::size_t offset, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i)
    value |= std::uint64_t(static_cast<unsigned char>(bytes[offset + i])) << (8 * i);
  return value;
}

std::string_view asBytes(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

struct Lengths {
  std::size_t metadata, keyText, cubin;
  std::size_t total() const { return headerSize + metadata + keyText + cubin; }
};

/// What the header says, or nothing and why.
std::optional<Lengths> readHeader(std::string_view bytes, std::string& problem) {
  if (bytes.size() < headerSize) {
    problem = "it has " + std::to_string(bytes.size()) + " bytes, fewer than its header";
    return std::nullopt;
  }
  if (bytes.substr(0, magic.size()) != magic) {
    problem = "it does not begin as a cache entry does";
    return std::nullopt;
  }
  std::uint64_t schema = number(bytes, 8, 4);
  if (schema != cacheSchema || number(bytes, 12, 4) != headerSize) {
    problem = "its schema is " + std::to_string(schema) + ", not " + std::to_string(cacheSchema);
    return std::nullopt;
  }
  std::array<std::uint64_t, 3> lengths;
  for (int i = 0; i < 3; ++i) {
    lengths[i] = number(bytes, 16 + 8 * i, 8);
    if (lengths[i] > maxSection) {
      problem = "a length in its header is out of range";
      return std::nullopt;
    }
  }
  return Lengths{lengths[0], lengths[1], lengths[2]};
}

}  // namespace

std::string encode(const Entry& entry) {
  using Handler = nlohmann::json::error_handler_t;
  std::string metadata = entry.metadata.dump(1, ' ', false, Handler::replace);
  std::string bytes(magic);
  append(bytes, cacheSchema, 4);
  append(bytes, headerSize, 4);
  append(bytes, metadata.size(), 8);
  append(bytes, entry.keyText.size(), 8);
  append(bytes, entry.cubin.size(), 8);
  Digest digest = sha256({bytes, metadata, entry.keyText, entry.cubin});
  return bytes.append(asBytes(digest)).append(metadata).append(entry.keyText).append(entry.cubin);
}

std::optional<std::size_t> entrySize(std::string_view bytes) {
  std::string problem;
  if (std::optional<Lengths> lengths = readHeader(bytes, problem))
    return lengths->total();
  return std::nullopt;
}

std::optional<Entry> decode(std::string_view bytes, std::string& problem) {
  std::optional<Lengths> lengths = readHeader(bytes, problem);
  if (!lengths)
    return std::nullopt;
  if (bytes.size() != lengths->total()) {
    problem = "it has " + std::to_string(bytes.size()) + " bytes, its header says " +
              std::to_string(lengths->total());
    return std::nullopt;
  }
  std::string_view body = bytes.substr(headerSize);
  if (asBytes(sha256({bytes.substr(0, digestOffset), body})) !=
      bytes.substr(digestOffset, headerSize - digestOffset)) {
    problem = "its SHA-256 does not match its content";
    return std::nullopt;
  }
  Entry entry;
  entry.metadata = nlohmann::json::parse(body.substr(0, lengths->metadata), nullptr, false);
  if (!entry.metadata.is_object()) {
    problem = "its metadata is not a JSON object";
    return std::nullopt;
  }
  entry.keyText = body.substr(lengths->metadata, lengths->keyText);
  entry.cubin = body.substr(lengths->metadata + lengths->keyText);
  return entry;
}

}  // namespace lathe
