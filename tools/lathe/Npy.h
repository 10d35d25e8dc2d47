// NumPy's array file, format versions 1 to 3 (numpy/lib/format.py): a magic, a header that is a
// Python literal, the elements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tool {

/// Row-major numbers; `descr` is how they stand in the file, e.g. "<f4".
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<double> data;
  std::string descr = "<f4";
};

/// "[2, 3]"
std::string toString(const std::vector<std::int64_t>& shape);

/// Reads little-endian float16/32/64, integers and booleans, in C or Fortran order. Throws Error,
/// naming `source`, for other dtypes and for damaged files.
Array parseNpy(std::string_view bytes, const std::string& source);

/// Version 1, C order; float64 where `descr` is "<f8", else float32.
std::string formatNpy(const Array& array);

}  // namespace lathe::tool
