// The files of this folder, as they travel inside a program.
#pragma once

namespace lathe {

struct LibraryFile {
  const char* name;  ///< "gla", of gla.lathe.
  const char* text;
};

/// In the order of their names; the last one has null for both.
extern const LibraryFile kLibraryFiles[];

}  // namespace lathe
