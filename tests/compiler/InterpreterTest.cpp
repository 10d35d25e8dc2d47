// What the interpreter does with its arguments: overrides, initial states, threads, and every
// mistake of a caller.
#include "tests/compiler/Support.h"

namespace lathe::test {
namespace {

const char* const spec = R"(variant v(K, V) {
  input q[K], k[K], v[V]
  param p
  const scale = 1 / sqrt(K)
  state S[K, V]
  S <- S + k * v
  output o[V] = p * scale * (q @ S)
})";

Arguments smallCall(const CompiledVariant& variant) {
  return randomCall(variant, {2, 5, 4}, {{"K", 3}, {"V", 2}});
}

TEST(Interpreter, ConstantsHaveDefaultsAndCanBeOverridden) {
  const CompiledVariant variant = compileOne(spec);
  Arguments call = smallCall(variant);
  const Results byDefault = interpret(variant, call, 0, 1);
  call.constants["scale"] = 2 / std::sqrt(3.0);
  for (int chunk : {0, 2}) {
    const Results doubled = interpret(variant, call, chunk, 1);
    for (std::size_t i = 0; i < doubled.outputs.at("o").data.size(); ++i)
      EXPECT_NEAR(doubled.outputs.at("o").data[i], 2 * byDefault.outputs.at("o").data[i], 1e-12);
  }
}

TEST(Interpreter, MissingStatesStartFromZero) {
  const CompiledVariant variant = compileOne(spec);
  Arguments call = smallCall(variant);
  for (double& element : call.inputs["S"].data)
    element = 0;
  const Results zero = interpret(variant, call, 0, 1);
  call.inputs.erase("S");
  expectClose(interpret(variant, call, 0, 1), zero, 0, "no initial state");
}

TEST(Interpreter, AStateCarriesOverToTheNextCall) {
  const CompiledVariant variant = compileLibrary("gated_delta_net");
  const Extent extent{1, 20, 2};
  const Arguments whole = randomCall(variant, extent, {{"K", 4}, {"V", 3}});
  const Results expected = interpret(variant, whole, 0, 1);
  Results part;
  for (const auto& [first, count] : {std::pair{0, 13}, std::pair{13, 7}}) {
    Arguments call = whole;
    for (const Operand& operand : variant.plan.operands) {
      if (operand.kind != Operand::Kind::input)
        continue;
      Tensor& tensor = call.inputs[operand.name];
      const auto width = static_cast<long>(tensor.data.size()) / 20;
      tensor.shape[1] = count;
      tensor.data.assign(whole.inputs.at(operand.name).data.begin() + first * width,
                         whole.inputs.at(operand.name).data.begin() + (first + count) * width);
    }
    if (first > 0)
      call.inputs["S"] = part.states.at("S");
    part = interpret(variant, call, 4, 1);
  }
  EXPECT_LE(distance(part.states.at("S"), expected.states.at("S")), 1e-12);
}

TEST(Interpreter, ThreadsChangeNothing) {
  const CompiledVariant variant = compileLibrary("linear_attention");
  const Arguments call = randomCall(variant, {3, 21, 5}, {{"K", 3}, {"V", 4}});
  for (int chunk : {0, 8})
    expectClose(interpret(variant, call, chunk, 7), interpret(variant, call, chunk, 1), 0,
                "7 threads");
}

TEST(Interpreter, NoTokensLeaveTheState) {
  const CompiledVariant variant = compileOne(spec);
  const Arguments call = randomCall(variant, {2, 0, 2}, {{"K", 3}, {"V", 2}});
  for (int chunk : {0, 16}) {
    const Results results = interpret(variant, call, chunk, 1);
    EXPECT_EQ(results.outputs.at("o").shape, (std::vector<std::int64_t>{2, 0, 2, 2}));
    EXPECT_EQ(results.states.at("S").data, call.inputs.at("S").data);
  }
}

TEST(Interpreter, OrderInMemoryIsThatOfTheDeclaration) {
  const char* const text = R"(variant v(K, V) {
    input q[K], m[V, K]
    state S[%]
    S <- 0.5 * S
    output o[V, K] = m * q
    output r[V] = q @ S
  })";
  const auto variantWith = [&](const std::string& order) {
    std::string own = text;
    return compileOne(own.replace(own.find('%'), 1, order));
  };
  const CompiledVariant rows = variantWith("K, V"), columns = variantWith("V, K");
  Arguments call = randomCall(rows, {1, 3, 1}, {{"K", 2}, {"V", 3}});
  const Results expected = interpret(rows, call, 0, 1);
  Tensor transposed{{1, 1, 3, 2}, std::vector<double>(6)};
  for (int k = 0; k < 2; ++k)
    for (int v = 0; v < 3; ++v)
      transposed.data[v * 2 + k] = call.inputs["S"].data[k * 3 + v];
  call.inputs["S"] = transposed;
  const Results found = interpret(columns, call, 0, 1);
  EXPECT_EQ(found.outputs.at("o").data, expected.outputs.at("o").data);
  EXPECT_EQ(found.outputs.at("r").data, expected.outputs.at("r").data);
  EXPECT_EQ(found.outputs.at("o").shape, (std::vector<std::int64_t>{1, 3, 1, 3, 2}));
  for (int k = 0; k < 2; ++k)
    for (int v = 0; v < 3; ++v) {
      EXPECT_EQ(found.states.at("S").data[v * 2 + k], expected.states.at("S").data[k * 3 + v]);
      EXPECT_EQ(found.outputs.at("o").data[v * 2 + k],
                call.inputs["m"].data[v * 2 + k] * call.inputs["q"].data[k]);
    }
}

/// The text of the error that a changed call gives.
std::string errorOf(void (*change)(Arguments&), int chunk = 0) {
  const CompiledVariant variant = compileOne(spec);
  Arguments call = smallCall(variant);
  change(call);
  try {
    interpret(variant, call, chunk, 1);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(InterpreterErrors, SayWhatWasFoundAndWhatIsAccepted) {
  EXPECT_EQ(errorOf([](Arguments& call) { call.dims.erase("V"); }),
            "variant v: the size of the dimension V is missing");
  EXPECT_EQ(errorOf([](Arguments& call) { call.dims["V"] = 0; }),
            "variant v: the dimension V has the size 0; it must be at least 1");
  EXPECT_EQ(errorOf([](Arguments& call) { call.dims["N"] = 4; }),
            "variant v: N is no dimension of the variant");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["x"]; }),
            "variant v: x is no input, param or state of the variant");
  EXPECT_EQ(errorOf([](Arguments& call) { call.constants["rate"] = 1; }),
            "variant v: rate is no const of the variant");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs.erase("k"); }),
            "variant v: input k is missing; it must have the shape [2, 5, 4, 3]");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["k"].shape = {2, 5, 12}; }),
            "variant v: input k has 3 axes, [2, 5, 12]; it must have 4");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["v"].shape = {2, 5, 4, 3}; }),
            "variant v: input v has the shape [2, 5, 4, 3]; it must have [2, 5, 4, 2], or fewer "
            "heads that divide 4");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["v"].shape = {2, 5, 3, 2}; }),
            "variant v: input v has the shape [2, 5, 3, 2]; it must have [2, 5, 4, 2], or fewer "
            "heads that divide 4");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["p"].shape = {2}; }),
            "variant v: param p has the shape [2]; it must have [4]");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["S"].shape = {2, 4, 2, 3}; }),
            "variant v: state S has the shape [2, 4, 2, 3]; it must have [2, 4, 3, 2]");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs["q"].data.pop_back(); }),
            "variant v: input q holds 119 numbers; its shape [2, 5, 4, 3] takes 120");
  EXPECT_EQ(errorOf([](Arguments& call) { call.inputs.clear(); }),
            "variant v: no input says how many batches, tokens and heads there are");
  EXPECT_EQ(errorOf([](Arguments&) {}, -1),
            "variant v: a chunk of -1 tokens; it must have at least 1");
}

TEST(Compile, ErrorsOfTheSpecGiveNoVariant) {
  Diagnostics diagnostics;
  EXPECT_TRUE(compile("variant v(K) { output o = x }", "f.lathe", diagnostics).empty());
  EXPECT_TRUE(diagnostics.hasErrors());
}

TEST(Compile, FormsAreText) {
  const CompiledVariant variant = compileLibrary("gla");
  EXPECT_NE(variant.ir(Stage::ir).find("lathe.variant @gla"), std::string::npos);
  EXPECT_NE(variant.ir(Stage::normal).find("lathe.affine %S decay(%g)"), std::string::npos);
  EXPECT_NE(variant.ir(Stage::chunk).find("lathe.scores"), std::string::npos);
}

}  // namespace
}  // namespace lathe::test
