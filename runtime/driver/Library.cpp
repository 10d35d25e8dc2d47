#include "runtime/driver/Library.h"

#include "cache/Files.h"
#include "cache/Sha256.h"

#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string_view>

namespace lathe {

namespace {

struct BuildSearch {
  ElfW(Addr) base;
  std::string id;
};

std::string hex(const unsigned char* bytes, std::size_t count) {
  const char* digits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text.append({digits[bytes[i] >> 4], digits[bytes[i] & 15]});
  return text;
}

/// The NT_GNU_BUILD_ID note within the notes of one segment (ELF gABI, note section).
std::string buildIdIn(const unsigned char* notes, std::size_t size) {
  auto padded = [](std::size_t bytes) { return (bytes + 3) & ~std::size_t(3); };
  for (std::size_t at = 0; at + sizeof(ElfW(Nhdr)) <= size;) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes + at, sizeof(header));
    std::size_t name = at + sizeof(header), value = name + padded(header.n_namesz);
    at = value + padded(header.n_descsz);
    if (at > size)
      break;
    bool gnu = header.n_namesz == 4 && std::memcmp(notes + name, "GNU", 4) == 0;
    if (gnu && header.n_type == NT_GNU_BUILD_ID)
      return hex(notes + value, header.n_descsz);
  }
  return "";
}

int findBuildId(dl_phdr_info* info, std::size_t, void* data) {
  auto* search = static_cast<BuildSearch*>(data);
  if (info->dlpi_addr != search->base)
    return 0;
  for (int i = 0; i < info->dlpi_phnum && search->id.empty(); ++i)
    if (const ElfW(Phdr)& segment = info->dlpi_phdr[i]; segment.p_type == PT_NOTE)
      search->id =
          buildIdIn(reinterpret_cast<const unsigned char*>(info->dlpi_addr + segment.p_vaddr),
                    segment.p_memsz);
  return 1;
}

const link_map* mapOf(void* handle) {
  link_map* map = nullptr;
  return handle && dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0 ? map : nullptr;
}

}  // namespace

Library Library::open(const std::string& file, std::string& problem) {
  Library library;
  library.handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library.handle)
    problem = dlerror();
  return library;
}

Library Library::alreadyLoaded(const std::string& file) {
  Library library;
  library.handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  return library;
}

void* Library::find(const char* symbol) const { return dlsym(handle, symbol); }

std::string Library::path() const {
  const link_map* map = mapOf(handle);
  return map ? map->l_name : "";
}

std::string Library::build() const {
  const link_map* map = mapOf(handle);
  if (!map)
    return "unknown";
  BuildSearch search = {map->l_addr, ""};
  dl_iterate_phdr(findBuildId, &search);
  if (!search.id.empty())
    return "build-id " + search.id;
  FileContent content;
  if (readFile(map->l_name, content) != 0)
    return "unknown";
  return "sha256 " + sha256Hex(content.bytes);
}

}  // namespace lathe
