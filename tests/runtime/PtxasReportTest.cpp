#include "runtime/PtxasReport.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lathe {
namespace {

// As NVRTC 13.0 writes it.
constexpr const char* report =
    "ptxas info    : 0 bytes gmem\n"
    "ptxas info    : Compiling entry function 'other' for 'sm_90a'\n"
    "ptxas info    : Function properties for other\n"
    "ptxas         .     8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
    "ptxas info    : Used 255 registers, used 2 barriers, 8 bytes cumulative stack size\n"
    "ptxas info    : Compiling entry function 'kernel' for 'sm_90a'\n"
    "ptxas info    : Function properties for kernel\n"
    "ptxas         .     48 bytes stack frame, 16 bytes spill stores, 24 bytes spill loads\n"
    "ptxas info    : Used 168 registers, used 3 barriers, 48 bytes cumulative stack size, 512 "
    "bytes smem, 400 bytes cmem[0]\n"
    "ptxas info    : Function properties for helper\n"
    "ptxas         .     99 bytes stack frame, 99 bytes spill stores, 99 bytes spill loads\n"
    "ptxas info    : Compile time = 12.024 ms\n";

TEST(PtxasReport, ReadsTheKernelAskedFor) {
  Resources expected{168, 16, 24, 48, 512, 400, 3};
  EXPECT_EQ(parsePtxasReport(report, "kernel"), expected);
  EXPECT_EQ(parsePtxasReport(report, "other"), (Resources{255, 4, 12, 8, 0, 0, 2}));
}

TEST(PtxasReport, WhatIsNotThereIsZero) {
  EXPECT_EQ(parsePtxasReport(report, "kern"), Resources());
  EXPECT_EQ(parsePtxasReport("", "kernel"), Resources());
  EXPECT_EQ(parsePtxasReport("ptxas info : Compiling entry function 'k' for 'sm_80'\n"
                             "ptxas info : Used 8 registers",
                             "k"),
            (Resources{8, 0, 0, 0, 0, 0, 0}));
}

TEST(PtxasReport, JsonRoundTrip) {
  Resources resources{168, 16, 24, 48, 512, 400, 3};
  EXPECT_EQ(nlohmann::json(resources).get<Resources>(), resources);
}

}  // namespace
}  // namespace lathe
