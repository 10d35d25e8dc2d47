#include "compiler/spec/Text.h"

#include <algorithm>

namespace lathe::spec {

namespace {

constexpr size_t maxQuoted = 40;

unsigned char byteAt(std::string_view text, size_t index) {
  return static_cast<unsigned char>(text[index]);
}

int lengthFromLead(unsigned char lead) {
  if (lead < 0x80)
    return 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return 2;
  if (lead >= 0xE0 && lead <= 0xEF)
    return 3;
  if (lead >= 0xF0 && lead <= 0xF4)
    return 4;
  return 0;
}

}  // namespace

int utf8Length(std::string_view text) {
  if (text.empty())
    return 0;
  const unsigned char lead = byteAt(text, 0);
  const int length = lengthFromLead(lead);
  if (length == 0 || text.size() < static_cast<size_t>(length))
    return 0;
  for (int i = 1; i < length; ++i)
    if ((byteAt(text, i) & 0xC0) != 0x80)
      return 0;
  if (length >= 3) {  // Overlong forms, surrogates, and what lies beyond U+10FFFF (RFC 3629, 4).
    const unsigned char second = byteAt(text, 1);
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
      return 0;
  }
  return length;
}

char32_t utf8Decode(std::string_view text) {
  const int length = utf8Length(text);
  if (length <= 1)
    return byteAt(text, 0);
  char32_t codePoint = byteAt(text, 0) & (0xFF >> (length + 1));
  for (int i = 1; i < length; ++i)
    codePoint = codePoint << 6 | (byteAt(text, i) & 0x3F);
  return codePoint;
}

bool isPrintable(char32_t codePoint) {
  const bool control = codePoint < 0x20 || (codePoint >= 0x7F && codePoint <= 0x9F);
  const bool direction = (codePoint >= 0x200B && codePoint <= 0x200F) ||
                         (codePoint >= 0x2028 && codePoint <= 0x202E) ||
                         (codePoint >= 0x2060 && codePoint <= 0x2069) || codePoint == 0xFEFF;
  return !control && !direction;
}

std::string shorten(std::string_view text) {
  std::string shown;
  size_t at = 0;
  while (at < text.size() && at < maxQuoted) {
    const int length = utf8Length(text.substr(at));
    const bool printable = length > 0 && isPrintable(utf8Decode(text.substr(at)));
    shown += printable ? std::string(text.substr(at, length)) : "?";
    at += std::max(length, 1);
  }
  if (at < text.size())
    shown += "...";
  return shown;
}

std::string quote(std::string_view text) { return "'" + shorten(text) + "'"; }

}  // namespace lathe::spec
