#include "tools/lathe/Npz.h"

#include "runtime/Error.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <minizip/unzip.h>
#include <minizip/zip.h>

namespace lathe::tool {

namespace {

constexpr std::size_t pieceBytes = std::size_t(1) << 24;

struct CloseZip {
  void operator()(void* archive) const { unzClose(archive); }
};

std::string memberOf(const std::string& path, const std::string& name) {
  return "'" + name + "' of " + path;
}

/// The member of the archive that is current.
std::string readMember(unzFile archive, const std::string& source) {
  if (unzOpenCurrentFile(archive) != UNZ_OK)
    throw Error(source + " is compressed in a way that is not accepted; use numpy.savez");
  std::string bytes;
  int count = 0;
  do {
    const std::size_t size = bytes.size();
    bytes.resize(size + pieceBytes);
    count = unzReadCurrentFile(archive, bytes.data() + size, pieceBytes);
    bytes.resize(size + std::max(count, 0));
  } while (count > 0);
  if (unzCloseCurrentFile(archive) != UNZ_OK || count < 0)
    throw Error(source + " is damaged: its checksum is wrong");
  return bytes;
}

void writeMember(zipFile archive, const std::string& name, const std::string& bytes,
                 const std::string& path) {
  zip_fileinfo information = {};
  information.dosDate = 1 << 21 | 1 << 16;  // 1 January 1980: equal arrays give equal files
  const int isLarge = bytes.size() >= 0xffffffff;
  bool isWritten = zipOpenNewFileInZip64(archive, (name + ".npy").c_str(), &information, nullptr, 0,
                                         nullptr, 0, nullptr, 0, 0, isLarge) == ZIP_OK;
  for (std::size_t at = 0; isWritten && at < bytes.size(); at += pieceBytes) {
    const auto size = static_cast<unsigned>(std::min(pieceBytes, bytes.size() - at));
    isWritten = zipWriteInFileInZip(archive, bytes.data() + at, size) == ZIP_OK;
  }
  if (!isWritten || zipCloseFileInZip(archive) != ZIP_OK)
    throw Error("cannot write '" + path + "': is the disk full?");
}

}  // namespace

Arrays readNpz(const std::string& path) {
  if (!std::filesystem::exists(path))
    throw Error("cannot find '" + path + "', an .npz file as numpy.savez writes it");
  const std::unique_ptr<void, CloseZip> archive(unzOpen64(path.c_str()));
  if (!archive)
    throw Error("'" + path + "' is no .npz file; write it with numpy.savez(path, name=array, ...)");
  Arrays arrays;
  for (int found = unzGoToFirstFile(archive.get()); found == UNZ_OK;
       found = unzGoToNextFile(archive.get())) {
    char name[256];
    unz_file_info64 information;
    if (unzGetCurrentFileInfo64(archive.get(), &information, name, sizeof name, nullptr, 0, nullptr,
                                0) != UNZ_OK)
      throw Error("'" + path + "' is damaged: its directory cannot be read");
    std::string key(name, std::min<std::size_t>(information.size_filename, sizeof name));
    if (key.ends_with(".npy"))
      key.resize(key.size() - 4);
    const std::string source = memberOf(path, key);
    arrays[key] = parseNpy(readMember(archive.get(), source), source);
  }
  return arrays;
}

void writeNpz(const std::string& path, const Arrays& arrays) {
  const std::string scratch = path + ".part";
  zipFile archive = zipOpen64(scratch.c_str(), APPEND_STATUS_CREATE);
  if (!archive)
    throw Error("cannot write '" + path + "': its folder must be there and writable");
  try {
    for (const auto& [name, array] : arrays)
      writeMember(archive, name, formatNpy(array), path);
  } catch (const Error&) {
    zipClose(archive, nullptr);
    std::remove(scratch.c_str());
    throw;
  }
  std::error_code error;
  if (zipClose(archive, nullptr) == ZIP_OK)
    std::filesystem::rename(scratch, path, error);
  else
    error = std::make_error_code(std::errc::io_error);
  if (error) {
    std::remove(scratch.c_str());
    throw Error("cannot write '" + path + "': " + error.message());
  }
}

}  // namespace lathe::tool
