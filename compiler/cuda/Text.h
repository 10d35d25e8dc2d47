// Lines of generated source.
#pragma once

#include <sstream>
#include <string>

namespace lathe::cuda {

/// Collects lines; every argument of `line` is written with operator<<.
class Text {
public:
  template <class... Parts> void line(const Parts&... parts) { (stream << ... << parts) << '\n'; }
  void append(const Text& other) { stream << other.stream.str(); }
  std::string str() const { return stream.str(); }

private:
  std::ostringstream stream;
};

/// A float literal that reads back as the same float.
std::string literal(double value);

}  // namespace lathe::cuda
