// Numbers as people read them.
#pragma once

#include <charconv>
#include <cstdio>
#include <string>

namespace lathe::tool {

/// The shortest decimal that is this number.
inline std::string numberText(double number) {
  char text[40];
  const auto result = std::to_chars(text, text + sizeof text, number);
  return {text, result.ptr};
}

/// `digits` after the point: "12.3".
inline std::string fixedText(double number, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

/// "537 MB", "12.5 kB": powers of 1000, as bandwidth is given.
inline std::string bytesText(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit)
    bytes /= 1000;
  return fixedText(bytes, unit == 0 || bytes >= 100 ? 0 : 1) + " " + units[unit];
}

/// "12.3 us", "4.5 ms", "2.0 s".
inline std::string timeText(double seconds) {
  if (seconds < 1e-3)
    return fixedText(seconds * 1e6, 1) + " us";
  return seconds < 1 ? fixedText(seconds * 1e3, 1) + " ms" : fixedText(seconds, 1) + " s";
}

}  // namespace lathe::tool
