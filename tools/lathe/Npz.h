// NumPy's archive of arrays (numpy.savez): a zip file with one NPY file for each name.
#pragma once

#include "tools/lathe/Npy.h"

#include <map>
#include <string>

namespace lathe::tool {

using Arrays = std::map<std::string, Array>;

/// Every array of an archive, stored or deflated. Throws Error where the file cannot be read.
Arrays readNpz(const std::string& path);

/// Writes the arrays as formatNpy does, uncompressed as numpy.savez; whole or not at all. The same
/// arrays give the same bytes. Throws Error where the file cannot be written.
void writeNpz(const std::string& path, const Arrays& arrays);

}  // namespace lathe::tool
