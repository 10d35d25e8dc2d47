// What emission writes, and what it refuses.
#include "compiler/cuda/Launcher.h"
#include "tests/cuda/Library.h"

#include <cstdlib>
#include <filesystem>

namespace lathe::test {
namespace {

const Tile kScanTile{32, 64, 64, 2, 1, 1};
const Tile kHopperTile{64, 64, 64, 3, 1, 1, Form::sm90a};
const Tile kTokenTile{0, 16, 32, 1, 16, 4};

TEST(Emit, IsDeterministicAndHasNoIncludes) {
  for (const std::string& name : kVariants) {
    Plan plan = libraryPlan(name);
    Signature signature = signatureOf(plan, 128, 64);
    Family family = plan.scan ? Family::scan : Family::sequential;
    Tile tile = candidates(plan, family, signature, knownDevice("sm_90a"), 128).tiles.front();
    KernelSource kernel = emit(plan, family, signature, tile);
    EXPECT_EQ(kernel.text, emit(libraryPlan(name), family, signature, tile).text) << name;
    EXPECT_EQ(kernel.text.find("#include"), std::string::npos) << name;
    EXPECT_NE(kernel.text.find("#line"), std::string::npos) << name;
    EXPECT_NE(kernel.text.find("\"" + name + ".lathe\""), std::string::npos) << name;
    EXPECT_EQ(kernel.entry, std::string("lathe_") + lathe::name(family) + "_" + name);
  }
}

TEST(Emit, PlainVariantHasNoTransformStage) {
  Plan plan = libraryPlan("retnet");
  std::string text = emit(plan, Family::scan, signatureOf(plan, 128, 128), kScanTile).text;
  EXPECT_NE(text.find("kRowProgram = false"), std::string::npos);
  plan = libraryPlan("linear_attention");
  text = emit(plan, Family::scan, signatureOf(plan, 128, 128), kScanTile).text;
  EXPECT_NE(text.find("kRowProgram = true"), std::string::npos);
  EXPECT_NE(text.find("kNormaliser = true"), std::string::npos);
}

TEST(Emit, TensorsStandInTheOrderOfThePlan) {
  Plan plan = libraryPlan("mamba2");
  KernelSource kernel = emit(plan, Family::scan, signatureOf(plan, 128, 64), kScanTile);
  std::vector<std::string> names;
  for (const KernelSource::Slot& slot : kernel.tensors)
    names.push_back(plan.operands[slot.operand].name + std::to_string(int(slot.role)));
  std::vector<std::string> expected = {"C0",       "B0", "x0", "dt0", "A_log0",
                                       "dt_bias0", "D0", "y0", "S1",  "S2"};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(kernel.threads, kScanTile.blockV * 2);
  EXPECT_EQ(kernel.tilesPerHead, 1);
}

TEST(Emit, ConstantsHaveTheDefaultsOfTheSpec) {
  Plan plan = libraryPlan("gla");
  Signature signature = signatureOf(plan, 64, 128);
  Tile tile{16, 64, 64, 2, 1, 1};
  std::vector<float> constants =
      defaultConstants(plan, signature, emit(plan, Family::scan, signature, tile));
  ASSERT_EQ(constants.size(), 1u);
  EXPECT_FLOAT_EQ(constants[0], 0.125f);
}

TEST(Emit, RefusesTilesThatBreakARule) {
  Plan gla = libraryPlan("gla");
  Signature signature = signatureOf(gla, 128, 128);
  EXPECT_EQ(
      refusal(gla, Family::scan, signature, {64, 64, 64, 2, 1, 1}),
      "scan of 'gla' with tile c64 b64 v64 s2 k1 x1: a decay of every channel takes chunks of 16");
  EXPECT_EQ(refusal(gla, Family::scan, signature, {24, 48, 64, 2, 1, 1}),
            "scan of 'gla' with tile c24 b48 v64 s2 k1 x1: chunk must be 16, 32 or 64");
  EXPECT_EQ(
      refusal(gla, Family::scan, signature, {16, 40, 64, 2, 1, 1}),
      "scan of 'gla' with tile c16 b40 v64 s2 k1 x1: block must be a multiple of chunk up to 128");
  EXPECT_EQ(
      refusal(gla, Family::scan, signature, {16, 32, 40, 2, 1, 1}),
      "scan of 'gla' with tile c16 b32 v40 s2 k1 x1: blockV must be a multiple of 16 up to 256");
  EXPECT_EQ(refusal(gla, Family::scan, signature, {16, 32, 64, 5, 1, 1}),
            "scan of 'gla' with tile c16 b32 v64 s5 k1 x1: stages must be 1 to 4");
  EXPECT_EQ(refusal(gla, Family::step, signature, {0, 8, 32, 1, 3, 1}),
            "step of 'gla' with tile c0 b8 v32 s1 k3 x1: splitK must be a power of two up to 32");
  EXPECT_EQ(refusal(gla, Family::step, signature, {0, 8, 32, 1, 4, 3}),
            "step of 'gla' with tile c0 b8 v32 s1 k4 x3: columns must be 1, 2 or 4");
  EXPECT_EQ(refusal(gla, Family::step, signature, {0, 8, 8, 1, 2, 1}),
            "step of 'gla' with tile c0 b8 v8 s1 k2 x1: blockV / columns * splitK must be a "
            "multiple of 32 up "
            "to 1024");
  EXPECT_EQ(refusal(gla, Family::step, signature, {0, 65, 32, 1, 16, 4}),
            "step of 'gla' with tile c0 b65 v32 s1 k16 x4: block must be 1 to 64");
}

TEST(Emit, TheFormForHopperIsChosenByTheTile) {
  Plan plan = libraryPlan("mamba2");
  KernelSource kernel = emit(plan, Family::scan, signatureOf(plan, 128, 64), kHopperTile);
  EXPECT_EQ(kernel.arch, "sm_90a");
  EXPECT_EQ(kernel.threads, 384);
  EXPECT_NE(kernel.text.find("wgmma.mma_async"), std::string::npos);
  EXPECT_NE(kernel.text.find("kKeyFactor = true"), std::string::npos);
  EXPECT_EQ(emit(plan, Family::scan, signatureOf(plan, 128, 64), kScanTile).arch, "");
}

TEST(Emit, TheFormForHopperHasAWarpgroupForEachPanelOfDecayedChannels) {
  Plan plan = libraryPlan("gla");
  auto of = [&](int K, int blockV) {
    Tile tile = kHopperTile;
    tile.blockV = blockV;
    return emit(plan, Family::scan, signatureOf(plan, K, 128), tile);
  };
  EXPECT_EQ(of(64, 64).threads, 128 * (1 + 1 + 1));
  EXPECT_EQ(of(96, 64).threads, 128 * (1 + 2 + 1));
  KernelSource kernel = of(128, 128);
  EXPECT_EQ(kernel.threads, 128 * (1 + 2 + 2));
  EXPECT_EQ(kernel.arch, "sm_90a");
  EXPECT_NE(kernel.text.find("HopperChannelScan<lathe::Variant>"), std::string::npos);
  EXPECT_NE(kernel.text.find("kDecay = Decay::keys"), std::string::npos);
  EXPECT_EQ(kernel.segmenting.roomBytes, of(128, 64).segmenting.roomBytes + 2 * 64 * 128);
}

TEST(Emit, GatesOfAnyKindHaveATileInTheFormForHopper) {
  Plan plan = libraryPlan("gla");
  Signature signature = signatureOf(plan, 128, 128);
  KernelSource same = emit(plan, Family::scan, signature, kHopperTile);
  EXPECT_EQ(same.copies.size(), 4u);
  EXPECT_NE(same.text.find("using Gate = bf16"), std::string::npos);
  for (size_t i = 0; i < plan.operands.size(); ++i)
    if (plan.operands[i].log)
      signature.dtypes[i] = DType::f32;
  Tile tile = kHopperTile;
  tile.stages = 2;
  KernelSource single = emit(plan, Family::scan, signature, tile);
  EXPECT_EQ(single.copies.size(), 3u) << "the copy engine brings no gates in fp32";
  EXPECT_NE(single.text.find("using Gate = f16"), std::string::npos);
  plan = libraryPlan("hgrn2");
  KernelSource mapped = emit(plan, Family::scan, signatureOf(plan, 128, 128), kHopperTile);
  EXPECT_EQ(mapped.copies.size(), 3u);
  EXPECT_EQ(mapped.sharedBytes, same.sharedBytes) << "the key takes the place of the gate's input";
}

TEST(Emit, RefusesWhatTheFormForHopperDoesNotTake) {
  auto of = [&](const char* variant, const Signature& signature, Tile tile = kHopperTile) {
    return refusal(libraryPlan(variant), Family::scan, signature, tile);
  };
  auto words = [](const char* variant, const char* why) {
    return std::string("scan of '") + variant + "' with tile c64 b64 v64 s3 k1 x1 sm_90a: " + why;
  };
  Plan plan = libraryPlan("retnet");
  Signature signature = signatureOf(plan, 128, 128);
  EXPECT_EQ(of("retnet", signatureOf(plan, 128, 128, DType::f32)),
            words("retnet", "the form for sm_90a computes in bf16 or f16, not f32"));
  Plan gla = libraryPlan("gla");
  Plan many = planOf(R"(variant many(K, V) {
    input  q[K], a[K], b[K], c[K], d[K], e[K], f[K], g[K], v[V]
    state  S[K, V]
    S <- sigmoid(a) * S + (b + c + d + e + f + g) * v
    output o[V] = q @ S
  })",
                     "many");
  EXPECT_EQ(refusal(many, Family::scan, signatureOf(many, 64, 64), kHopperTile),
            words("many",
                  "the form for sm_90a with a decay of every channel takes at most 8 inputs "
                  "over K or V"));
  EXPECT_EQ(of("gla", signatureOf(gla, 208, 128)),
            words("gla", "K must be at most 192 in the form for sm_90a with a decay of every "
                         "channel"));
  plan = planOf(R"(variant scaled(K, V) {
    input  q[K], k[K], v[V], a
    state  S[K, V], n[K]
    S <- S + k * (a * v)
    n <- n + k
    output o[V] = (q @ S) / (q @ n)
  })",
                "scaled");
  EXPECT_EQ(refusal(plan, Family::scan, signatureOf(plan, 128, 128), kHopperTile),
            words("scaled", "the form for sm_90a takes no normaliser beside values that are "
                            "scaled"));
  plan = libraryPlan("retnet");
  Signature wide = signature;
  wide.dtypes[0] = DType::f32;
  EXPECT_EQ(of("retnet", wide),
            words("retnet", "in the form for sm_90a the query must be made of one input over K of "
                            "the type of the tensor cores and of scalars of the token"));
  EXPECT_EQ(of("retnet", signatureOf(plan, 100, 128)),
            words("retnet", "K must be a multiple of 16 in the form for sm_90a"));
  EXPECT_EQ(of("retnet", signatureOf(plan, 128, 100)),
            words("retnet", "V must be a multiple of 8 in the form for sm_90a"));
  EXPECT_EQ(of("retnet", signatureOf(plan, 144, 128), {64, 64, 128, 2, 1, 1, Form::sm90a}),
            "scan of 'retnet' with tile c64 b64 v128 s2 k1 x1 sm_90a: blockV must be 64 in the "
            "form for sm_90a where K is over 128");
  const Tile twice{128, 64, 64, 3, 1, 1, Form::sm90a};
  EXPECT_EQ(of("retnet", signatureOf(plan, 144, 128), twice),
            "scan of 'retnet' with tile c128 b64 v64 s3 k1 x1 sm_90a: chunk must be 64 in the form "
            "for sm_90a where K is over 128");
  EXPECT_EQ(
      of("gla", signatureOf(gla, 128, 128), twice),
      "scan of 'gla' with tile c128 b64 v64 s3 k1 x1 sm_90a: chunk must be 64 in the form for "
      "sm_90a with a decay of every channel");
  for (auto [tile, why] : std::initializer_list<std::pair<Tile, const char*>>{
           {{32, 64, 64, 3, 1, 1, Form::sm90a}, "chunk must be 64 or 128"},
           {{128, 128, 64, 3, 1, 1, Form::sm90a}, "block must be 64"},
           {{64, 64, 32, 3, 1, 1, Form::sm90a}, "blockV must be 64 or 128"},
           {{64, 64, 64, 1, 1, 1, Form::sm90a}, "stages must be 2 to 4"}})
    EXPECT_EQ(of("retnet", signature, tile), "scan of 'retnet' with tile " + toString(tile) + ": " +
                                                 why + " in the form for sm_90a");
  Tile step = kTokenTile;
  step.form = Form::sm90a;
  EXPECT_EQ(refusal(plan, Family::step, signature, step),
            "step of 'retnet' with tile c0 b16 v32 s1 k16 x4 sm_90a: only a scan has a form for "
            "sm_90a");
  signature.dtypes.back() = DType::f32;
  for (size_t i = 0; i < plan.operands.size(); ++i)
    if (plan.operands[i].kind == Operand::Kind::output)
      signature.dtypes[i] = DType::f32;
  EXPECT_EQ(of("retnet", signature),
            words("retnet", "in the form for sm_90a the output is over V, in bf16 or f16"));
  plan = libraryPlan("mamba2_gated");
  signature = signatureOf(plan, 128, 64);
  for (size_t i = 0; i < plan.operands.size(); ++i)
    if (plan.operands[i].name == "z")
      signature.dtypes[i] = DType::f32;
  const char* made = "in the form for sm_90a the output is made of the read, the values, one more "
                     "input over V of the type of the tensor cores and scalars of the token";
  EXPECT_EQ(of("mamba2_gated", signature), words("mamba2_gated", made));
  plan = planOf(R"(variant two_gates(K, V) {
    input  q[K], k[K], v[V], y[V], z[V]
    state  S[K, V]
    S <- S + k * v
    output o[V] = (q @ S) * y + z
  })",
                "two_gates");
  EXPECT_EQ(refusal(plan, Family::scan, signatureOf(plan, 128, 64), kHopperTile),
            words("two_gates", made));
  plan = planOf(R"(variant decayed(K, V) {
    input  q[K], k[K], v[V], z[V]
    input  g[K] in log
    state  S[K, V]
    S <- exp(g) * S + k * v
    output o[V] = (q @ S) * z
  })",
                "decayed");
  EXPECT_EQ(refusal(plan, Family::scan, signatureOf(plan, 128, 64), kHopperTile),
            words("decayed", "in the form for sm_90a with a decay of every channel the output is "
                             "made of the read, the values and scalars of the token"));
}

TEST(Emit, TheFormForHopperBringsWhatGatesTheOutput) {
  Plan plan = libraryPlan("mamba2_gated");
  KernelSource kernel = emit(plan, Family::scan, signatureOf(plan, 128, 64), kHopperTile);
  EXPECT_NE(kernel.text.find("kOutputGate = true"), std::string::npos);
  ASSERT_EQ(kernel.copies.size(), 5u);
  EXPECT_EQ(plan.operands[kernel.tensors[kernel.copies[4].tensor].operand].name, "z");
  plan = libraryPlan("mamba2");
  kernel = emit(plan, Family::scan, signatureOf(plan, 128, 64), kHopperTile);
  EXPECT_EQ(kernel.copies.size(), 4u);
}

TEST(Emit, TheFormForHopperTakesTwoChunksAtOnce) {
  Plan plan = libraryPlan("retnet");
  auto of = [&](int chunk, int stages) {
    return emit(plan, Family::scan, signatureOf(plan, 128, 128),
                {chunk, 64, 128, stages, 1, 1, Form::sm90a});
  };
  const KernelSource kernel = of(128, 4);
  EXPECT_NE(kernel.text.find("kTogether = 2"), std::string::npos);
  EXPECT_EQ(kernel.segmenting.chunk, 128);
  EXPECT_LE(kernel.sharedBytes, 227u * 1024) << "four stages, as outputs take the place of values";
  EXPECT_GT(of(64, 4).sharedBytes, 227u * 1024);
}

TEST(Emit, TheFormForHopperMapsRowsInPlace) {
  Plan plan = libraryPlan("linear_attention");
  KernelSource kernel = emit(plan, Family::scan, signatureOf(plan, 128, 128), kHopperTile);
  EXPECT_NE(kernel.text.find("kRowProgram = true"), std::string::npos);
  EXPECT_NE(kernel.text.find("kNormaliser = true"), std::string::npos);
  ASSERT_EQ(kernel.sharedStates.size(), 1u);
  EXPECT_EQ(plan.operands[kernel.sharedStates[0]].name, "z");
  plan = libraryPlan("retnet");
  kernel = emit(plan, Family::scan, signatureOf(plan, 128, 128), kHopperTile);
  EXPECT_NE(kernel.text.find("kRowProgram = false"), std::string::npos);
  EXPECT_NE(kernel.text.find("kNormaliser = false"), std::string::npos);
}

TEST(Emit, NamesTheStatesThatSeveralBlocksRead) {
  Plan plan = libraryPlan("linear_attention");
  Signature signature = signatureOf(plan, 64, 64);
  KernelSource kernel = emit(plan, Family::scan, signature, {32, 64, 32, 2, 1, 1});
  ASSERT_EQ(kernel.sharedStates.size(), 1u);
  EXPECT_EQ(plan.operands[kernel.sharedStates[0]].name, "z");
  EXPECT_EQ(emit(plan, Family::step, signature, {0, 8, 16, 1, 16, 4}).sharedStates,
            kernel.sharedStates);
  EXPECT_TRUE(emit(plan, Family::scan, signature, {32, 64, 64, 2, 1, 1}).sharedStates.empty());
  EXPECT_TRUE(emit(plan, Family::step, signature, {0, 8, 64, 1, 16, 4}).sharedStates.empty());
}

TEST(Emit, RefusesSignaturesThatBreakARule) {
  Plan gla = libraryPlan("gla");
  Signature signature = signatureOf(gla, 128, 300);
  EXPECT_EQ(refusal(gla, Family::step, signature, kTokenTile),
            "variant 'gla': V = 300 has no kernel; sizes are 1 to 256");
  signature = signatureOf(gla, 128, 128);
  signature.dims.erase("K");
  EXPECT_EQ(refusal(gla, Family::step, signature, kTokenTile),
            "variant 'gla' needs a size for its dimension K");
  signature = signatureOf(gla, 128, 128);
  signature.dtypes.pop_back();
  EXPECT_EQ(refusal(gla, Family::step, signature, kTokenTile),
            "variant 'gla' has 7 operands, the signature 6 dtypes");
}

TEST(Emit, AnglesAreMapsLikeAllOthers) {
  const Plan plan = planOf("variant waves(K, V) {\n  input q[K], k[K], v[V]\n  state S[K, V]\n"
                           "  S <- S + cos(position) * k * v\n"
                           "  output o[V] = sin(position) * (q @ S)\n}\n",
                           "waves");
  ASSERT_TRUE(plan.scan);
  for (Family family : {Family::scan, Family::step, Family::sequential}) {
    const Tile tile = family == Family::scan ? kScanTile : kTokenTile;
    const std::string text = emit(plan, family, signatureOf(plan, 64, 64), tile).text;
    EXPECT_NE(text.find("lathe::cos("), std::string::npos) << lathe::name(family);
    EXPECT_NE(text.find("lathe::sin("), std::string::npos) << lathe::name(family);
  }
}

TEST(Emit, NeedsTheSizesOfDerivedDimensions) {
  const Plan plan = planOf("variant wide(K, F = taylor2(K), V) {\n  input q[F], k[F], v[V], x[K]\n"
                           "  state S[F, V]\n  S <- S + k * v\n"
                           "  output o[V] = sum(x) * (q @ S)\n}\n",
                           "wide");
  EXPECT_EQ(plan.noKernel, "");
  EXPECT_EQ(refusal(plan, Family::step, signatureOf(plan, 4, 64), kTokenTile),
            "variant 'wide' needs a size for its dimension F");
}

TEST(Emit, RefusesVariantsWithoutTheFamily) {
  Plan delta = libraryPlan("gated_delta_net");
  EXPECT_EQ(refusal(delta, Family::scan, signatureOf(delta, 128, 128), kScanTile),
            "variant 'gated_delta_net' has no scan form; its family is sequential");
  Plan both = planOf("variant both(K, V) {\n  input q[K], k[K], v[V]\n  state S[K, V]\n"
                     "  S <- S + k * v * tanh((q @ S) @ v)\n  output o[V] = q @ S\n}\n",
                     "both");
  EXPECT_EQ(refusal(both, Family::step, signatureOf(both, 64, 64), kTokenTile),
            "step of 'both' with tile c0 b16 v32 s1 k16 x4: it sums over K and over V what depends "
            "on the "
            "state, and a thread block holds all of one of them only");
}

/// The kernel and its launcher are a program of their own for nvcc.
TEST(Emit, LauncherCompilesWithNvcc) {
  std::string nvcc = "/usr/local/cuda/bin/nvcc";
  if (const char* home = std::getenv("CUDA_HOME"))
    nvcc = std::string(home) + "/bin/nvcc";
  if (!std::filesystem::exists(nvcc))
    GTEST_SKIP() << "no nvcc at " << nvcc;
  Plan plan = libraryPlan("gla");
  Signature signature = signatureOf(plan, 64, 64);
  KernelSource kernel = emit(plan, Family::scan, signature, {16, 32, 64, 1, 1, 1});
  std::filesystem::path folder = std::filesystem::temp_directory_path() / "lathe_launcher_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "gla.cuh") << kernel.text;
  std::ofstream(folder / "main.cu")
      << launcher(plan, signature, kernel, "gla.cuh")
      << "int main() {\n  return lathe_scan_gla_launch(0, 0, 0, nullptr, nullptr, "
         "nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) == cudaSuccess;\n}\n";
  std::string command = nvcc + " -std=c++17 -arch=sm_80 -c -o " + (folder / "main.o").string() +
                        " " + (folder / "main.cu").string();
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lathe::test
