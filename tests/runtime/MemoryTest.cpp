#include "runtime/Memory.h"

#include "tests/runtime/DriverSupport.h"

namespace lathe {
namespace {

struct Memory : test::DriverTest {
  void SetUp() override {}  // compiles nothing
};

TEST_F(Memory, CopiesAndFills) {
  {
    Buffer a(8), b(8);
    EXPECT_EQ(fake->allocations, 2);
    std::uint32_t in[2] = {1, 2}, out[2] = {};
    a.upload(in);
    b.copyFrom(a);
    b.download(out);
    EXPECT_EQ(out[1], 2u);
    b.fill(0xff);
    b.download(out);
    EXPECT_EQ(out[0], 0xffffffffu);
    b.fillWords(7);
    b.download(out);
    EXPECT_EQ(out[1], 7u);
    Buffer moved = std::move(b);
    EXPECT_EQ(moved.bytes(), 8u);
    EXPECT_EQ(fake->allocations, 2);
  }
  EXPECT_EQ(fake->allocations, 0);
}

TEST_F(Memory, Empty) {
  Buffer none(0);
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(fake->allocations, 0);
  none.fill(1);
  none.upload(nullptr);
}

TEST_F(Memory, CopyOfAnotherSize) {
  Buffer a(8), b(4);
  EXPECT_EQ(test::errorOf([&] { a.copyFrom(b); }),
            "a copy of 4 bytes into a buffer of 8; they must be equal");
}

}  // namespace
}  // namespace lathe
