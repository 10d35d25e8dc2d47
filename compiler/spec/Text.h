// Bytes that came from outside, made fit for a message on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace lathe::spec {

/// The length in bytes of the UTF-8 character (RFC 3629) that `text` begins with, or 0 where there
/// is none.
int utf8Length(std::string_view text);

/// The code point of the well-formed UTF-8 character that `text` begins with.
char32_t utf8Decode(std::string_view text);

/// Whether a terminal shows the code point as a mark of its own: no control character and none that
/// turns the direction of writing.
bool isPrintable(char32_t codePoint);

/// The text, cut where it is too long for a message, with `?` for what a terminal cannot show.
std::string shorten(std::string_view text);

/// The shortened text in single quotes.
std::string quote(std::string_view text);

}  // namespace lathe::spec
