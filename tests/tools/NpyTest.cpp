#include "tools/lathe/Npy.h"

#include "tests/tools/Support.h"

#include <cmath>

namespace lathe::tool {
namespace {

/// A version 1 file with this header and these elements.
std::string npy(std::string header, const std::string& elements) {
  header += "\n";
  return std::string("\x93NUMPY\x01\x00", 8) +
         std::string{char(header.size() & 255), char(header.size() >> 8)} + header + elements;
}

std::string dictionary(const std::string& descr, const std::string& shape, bool isFortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (isFortran ? "True" : "False") +
         ", 'shape': " + shape + ", }";
}

template <class T> std::string bytesOf(std::vector<T> numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

TEST(Npy, WhatIsWrittenIsRead) {
  const Array array{{2, 3}, {1, -2, 0.5, 3, 4, 1e10}, "<f4"};
  const std::string bytes = formatNpy(array);
  const Array again = parseNpy(bytes, "x");
  EXPECT_EQ(again.shape, array.shape);
  EXPECT_EQ(again.data, array.data);
  EXPECT_EQ(again.descr, "<f4");
  EXPECT_EQ((bytes.size() - 6 * sizeof(float)) % 64, 0U) << "numpy aligns the elements to 64 bytes";
}

TEST(Npy, DoublesKeepTheirDigits) {
  const Array array{{2}, {1.0 / 3, -1e-300}, "<f8"};
  const Array again = parseNpy(formatNpy(array), "x");
  EXPECT_EQ(again.data, array.data);
  EXPECT_EQ(again.descr, "<f8");
}

TEST(Npy, ShapesOfAnyRank) {
  EXPECT_EQ(parseNpy(npy(dictionary("<f8", "()"), bytesOf<double>({7})), "x").shape,
            std::vector<std::int64_t>{});
  EXPECT_EQ(parseNpy(npy(dictionary("<f8", "(2,)"), bytesOf<double>({7, 8})), "x").data,
            (std::vector<double>{7, 8}));
  EXPECT_TRUE(parseNpy(npy(dictionary("<f8", "(0, 3)"), ""), "x").data.empty());
}

TEST(Npy, FortranOrder) {
  const Array array =
      parseNpy(npy(dictionary("<f4", "(2, 3)", true), bytesOf<float>({1, 4, 2, 5, 3, 6})), "x");
  EXPECT_EQ(array.data, (std::vector<double>{1, 2, 3, 4, 5, 6}));
}

TEST(Npy, HalfPrecision) {
  const std::string elements =
      bytesOf<std::uint16_t>({0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfe00, 0x8000});
  const std::vector<double> data = parseNpy(npy(dictionary("<f2", "(7,)"), elements), "x").data;
  EXPECT_EQ(data[0], 1);
  EXPECT_EQ(data[1], -2);
  EXPECT_EQ(data[2], std::ldexp(1, -24));
  EXPECT_EQ(data[3], 65504);
  EXPECT_TRUE(std::isinf(data[4]));
  EXPECT_TRUE(std::isnan(data[5]));
  EXPECT_TRUE(data[6] == 0 && std::signbit(data[6]));
}

TEST(Npy, IntegersAndBooleans) {
  const auto first = [](const std::string& descr, const std::string& elements) {
    return parseNpy(npy(dictionary(descr, "(1,)"), elements), "x").data[0];
  };
  EXPECT_EQ(first("|i1", bytesOf<std::int8_t>({-3})), -3);
  EXPECT_EQ(first("<i2", bytesOf<std::int16_t>({-300})), -300);
  EXPECT_EQ(first("<i4", bytesOf<std::int32_t>({-70000})), -70000);
  EXPECT_EQ(first("<i8", bytesOf<std::int64_t>({std::int64_t(1) << 40})), 0x1p40);
  EXPECT_EQ(first("|u1", bytesOf<std::uint8_t>({200})), 200);
  EXPECT_EQ(first("<u4", bytesOf<std::uint32_t>({4000000000U})), 4e9);
  EXPECT_EQ(first("|b1", bytesOf<std::uint8_t>({1})), 1);
}

TEST(Npy, LongHeadersOfVersions2And3) {
  for (char version : {2, 3}) {
    const std::string header = dictionary("<f4", "(1,)") + "\n";
    const std::string bytes = std::string("\x93NUMPY", 6) + version + '\0' +
                              std::string{char(header.size()), 0, 0, 0} + header +
                              bytesOf<float>({5});
    EXPECT_EQ(parseNpy(bytes, "x").data[0], 5);
  }
}

TEST(Npy, Mistakes) {
  const auto problem = [](const std::string& bytes) {
    return errorOf([&] { parseNpy(bytes, "'q' of x.npz"); });
  };
  const std::string good = npy(dictionary("<f4", "(2,)"), bytesOf<float>({1, 2}));
  EXPECT_EQ(problem("PK"), "'q' of x.npz is no NPY array: it does not begin with \\x93NUMPY");
  EXPECT_EQ(problem(std::string("\x93NUMPY\x04\x00", 8) + "      "),
            "'q' of x.npz has NPY version 4; 1 to 3 are accepted");
  EXPECT_EQ(problem(good.substr(0, 20)), "'q' of x.npz is damaged: it ends within its NPY header");
  EXPECT_EQ(problem(npy("{'descr': '<f4'}", "")),
            "'q' of x.npz is damaged: its NPY header cannot be read");
  EXPECT_EQ(problem(npy(dictionary("<f4", "(-1,)"), "")),
            "'q' of x.npz is damaged: its NPY header cannot be read");
  EXPECT_EQ(problem(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "")),
            "'q' of x.npz is a structured array; save plain numbers");
  EXPECT_EQ(
      problem(npy(dictionary(">f4", "(1,)"), "abcd")),
      "'q' of x.npz has dtype '>f4'; accepted are little-endian float16, float32, float64 and "
      "integers (save it with .astype(np.float32))");
  EXPECT_EQ(problem(good.substr(0, good.size() - 1)),
            "'q' of x.npz is damaged: 7 bytes of elements, [2] of '<f4' needs another number");
  EXPECT_THAT(problem(npy(dictionary("<f8", "(4294967296, 4294967296, 2)"), "")),
              testing::HasSubstr("is damaged: 0 bytes of elements"));
}

}  // namespace
}  // namespace lathe::tool
