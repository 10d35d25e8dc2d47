#include "tools/lathe/Npy.h"

#include "runtime/Error.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

namespace lathe::tool {

static_assert(std::endian::native == std::endian::little, "elements are copied as they stand");

namespace {

constexpr std::string_view magic = "\x93NUMPY";

struct Header {
  std::string descr;
  bool isFortran = false;
  std::vector<std::int64_t> shape;
};

/// IEEE binary16 (IEEE 754-2019, 3.4).
double fromHalf(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31)
    return fraction ? std::numeric_limits<double>::quiet_NaN()
                    : sign * std::numeric_limits<double>::infinity();
  return exponent == 0 ? sign * std::ldexp(fraction, -24)
                       : sign * std::ldexp(1024 + fraction, exponent - 25);
}

/// The text after "'key':" in the dictionary of the header.
std::optional<std::string_view> valueOf(std::string_view header, const std::string& key) {
  const std::size_t at = header.find("'" + key + "'");
  if (at == std::string_view::npos)
    return std::nullopt;
  std::string_view rest = header.substr(at + key.size() + 2);
  const std::size_t begin = rest.find_first_not_of(": ");
  return begin == std::string_view::npos ? std::nullopt : std::optional(rest.substr(begin));
}

bool parseShape(std::string_view text, std::vector<std::int64_t>& shape) {
  if (!text.starts_with('('))
    return false;
  text.remove_prefix(1);
  while (true) {
    const std::size_t begin = text.find_first_not_of(", ");
    if (begin == std::string_view::npos)
      return false;
    text.remove_prefix(begin);
    if (text.starts_with(')'))
      return true;
    std::int64_t size = 0;
    auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || size < 0)
      return false;
    shape.push_back(size);
    text.remove_prefix(rest - text.data());
  }
}

Header parseHeader(std::string_view text, const std::string& source) {
  Header header;
  const auto descr = valueOf(text, "descr"), order = valueOf(text, "fortran_order"),
             shape = valueOf(text, "shape");
  if (!descr || !order || !shape || !parseShape(*shape, header.shape))
    throw Error(source + " is damaged: its NPY header cannot be read");
  if (!descr->starts_with('\'') || descr->find('\'', 1) == std::string_view::npos)
    throw Error(source + " is a structured array; save plain numbers");
  header.descr = descr->substr(1, descr->find('\'', 1) - 1);
  header.isFortran = order->starts_with("True");
  return header;
}

/// Elements of type T, converted by `convert`.
template <class T, class Convert>
std::vector<double> convertAll(std::string_view bytes, Convert convert) {
  std::vector<double> numbers(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    numbers[i] = convert(element);
  }
  return numbers;
}

struct Element {
  std::string_view descr;
  int bytes;
  std::vector<double> (*read)(std::string_view);
};

template <class T> Element plain(std::string_view descr) {
  return {descr, sizeof(T), [](std::string_view bytes) {
            return convertAll<T>(bytes, [](T element) { return double(element); });
          }};
}

const Element& elementOf(const std::string& descr, const std::string& source) {
  static const std::vector<Element> known = {
      {"<f2", 2, [](std::string_view bytes) { return convertAll<std::uint16_t>(bytes, fromHalf); }},
      plain<float>("<f4"),
      plain<double>("<f8"),
      plain<std::int8_t>("|i1"),
      plain<std::int16_t>("<i2"),
      plain<std::int32_t>("<i4"),
      plain<std::int64_t>("<i8"),
      plain<std::uint8_t>("|u1"),
      plain<std::uint16_t>("<u2"),
      plain<std::uint32_t>("<u4"),
      plain<std::uint64_t>("<u8"),
      plain<std::uint8_t>("|b1"),
  };
  for (const Element& element : known)
    if (element.descr == descr)
      return element;
  throw Error(source + " has dtype '" + descr +
              "'; accepted are little-endian float16, float32, float64 and integers "
              "(save it with .astype(np.float32))");
}

/// From Fortran order, where the first axis is the fastest, to C order.
std::vector<double> transposed(const std::vector<double>& from,
                               const std::vector<std::int64_t>& shape) {
  std::vector<double> to(from.size());
  std::vector<std::int64_t> index(shape.size(), 0);
  for (double number : from) {
    std::size_t place = 0;
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
      place = place * shape[axis] + index[axis];
    to[place] = number;
    for (std::size_t axis = 0; axis < shape.size() && ++index[axis] == shape[axis]; ++axis)
      index[axis] = 0;
  }
  return to;
}

}  // namespace

std::string toString(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (std::int64_t size : shape)
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

Array parseNpy(std::string_view bytes, const std::string& source) {
  if (!bytes.starts_with(magic) || bytes.size() < 12)
    throw Error(source + " is no NPY array: it does not begin with \\x93NUMPY");
  const int major = static_cast<unsigned char>(bytes[6]);
  if (major < 1 || major > 3)
    throw Error(source + " has NPY version " + std::to_string(major) + "; 1 to 3 are accepted");
  const std::size_t lengthBytes = major == 1 ? 2 : 4, begin = magic.size() + 2 + lengthBytes;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, lengthBytes);
  if (bytes.size() < begin + length)
    throw Error(source + " is damaged: it ends within its NPY header");
  const Header header = parseHeader(bytes.substr(begin, length), source);
  const Element& element = elementOf(header.descr, source);
  bytes.remove_prefix(begin + length);
  std::size_t count = 1;
  for (std::int64_t size : header.shape)
    if (__builtin_mul_overflow(count, std::size_t(size), &count)) {
      count = std::numeric_limits<std::size_t>::max();
      break;
    }
  if (bytes.size() / element.bytes != count || bytes.size() % element.bytes != 0)
    throw Error(source + " is damaged: " + std::to_string(bytes.size()) + " bytes of elements, " +
                toString(header.shape) + " of '" + header.descr + "' needs another number");
  Array array{header.shape, element.read(bytes), header.descr};
  if (header.isFortran)
    array.data = transposed(array.data, array.shape);
  return array;
}

namespace {

template <typename Number> void append(std::string& bytes, const std::vector<double>& data) {
  const std::size_t begin = bytes.size();
  bytes.resize(begin + data.size() * sizeof(Number));
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto number = static_cast<Number>(data[i]);
    std::memcpy(bytes.data() + begin + i * sizeof number, &number, sizeof number);
  }
}

}  // namespace

std::string formatNpy(const Array& array) {
  const bool isDouble = array.descr == "<f8";
  std::string shape;
  for (std::int64_t size : array.shape)
    shape += std::to_string(size) + ", ";
  std::string header = std::string("{'descr': '") + (isDouble ? "<f8" : "<f4") +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr std::size_t alignment = 64, before = 10;
  header.append(alignment - (before + header.size() + 1) % alignment, ' ');
  header += '\n';
  std::string bytes(magic);
  bytes += {'\x01', '\x00', char(header.size() & 255), char(header.size() >> 8)};
  bytes += header;
  if (isDouble)
    append<double>(bytes, array.data);
  else
    append<float>(bytes, array.data);
  return bytes;
}

}  // namespace lathe::tool
