// The normal form and the plan of every variant of the library, and why other specs have none.
#include "tests/compiler/Support.h"

#include <nlohmann/json.hpp>

namespace lathe::test {
namespace {

/// A node as an expression over the names of the spec.
std::string textOf(const Plan& plan, int index) {
  const Node& node = plan.nodes[index];
  const auto arg = [&](std::size_t i) { return textOf(plan, node.args[i]); };
  switch (node.kind) {
  case Node::Kind::operand:
  case Node::Kind::override_:
    return plan.operands[node.operand].name;
  case Node::Kind::state:
    return plan.operands[node.operand].name;
  case Node::Kind::affine:
    return plan.operands[plan.recurrences[node.affine].state].name + "'";
  case Node::Kind::constant: {
    std::ostringstream text;
    text << node.value;
    return text.str();
  }
  case Node::Kind::dimension:
    return "#" + node.name;
  case Node::Kind::position:
    return "position";
  case Node::Kind::sum:
    return "sum_" + node.name + "(" + arg(0) + ")";
  case Node::Kind::max:
    return "max_" + node.name + "(" + arg(0) + ")";
  case Node::Kind::index:
    return "index_" + node.name;
  case Node::Kind::rotate:
  case Node::Kind::taylor:
  case Node::Kind::taylorAdjoint:
    return "feature_" + node.name + "(" + arg(0) + ")";
  case Node::Kind::contract:
    return "(" + arg(0) + " @" + node.name + " " + arg(1) + ")";
  case Node::Kind::map: {
    std::string text = std::string(name(node.op)) + "(" + arg(0);
    for (std::size_t i = 1; i < node.args.size(); ++i)
      text += ", " + arg(i);
    return text + ")";
  }
  }
  return "?";
}

std::string textOf(const Plan& plan, const Recurrence& recurrence) {
  std::string text = plan.operands[recurrence.state].name + "' =";
  for (int decay : recurrence.logDecays)
    text += " decay " + textOf(plan, decay);
  for (const auto& [left, right] : recurrence.rank1)
    text += " rank1 " + textOf(plan, left) + " | " + textOf(plan, right);
  for (const auto& [key, value] : recurrence.outer)
    text += " outer " + textOf(plan, key) + " | " + textOf(plan, value);
  return text;
}

std::vector<std::string> normalFormOf(const CompiledVariant& variant) {
  std::vector<std::string> texts;
  for (const Recurrence& recurrence : variant.plan.recurrences)
    texts.push_back(textOf(variant.plan, recurrence));
  return texts;
}

using Texts = std::vector<std::string>;

const std::string normOfK = "multiply(k, rsqrt(add(sum_K(multiply(k, k)), 1e-06)))";

TEST(NormalForm, LinearAttention) {
  EXPECT_EQ(normalFormOf(compileLibrary("linear_attention")),
            (Texts{"S' = outer add(elu(k), 1) | v", "z' = outer add(elu(k), 1) | 1"}));
}

TEST(NormalForm, RetNet) {
  EXPECT_EQ(normalFormOf(compileLibrary("retnet")), Texts{"S' = decay gamma outer k | v"});
}

TEST(NormalForm, Mamba2KeepsItsDecayInTheLogDomainAndItsStepWithTheValue) {
  EXPECT_EQ(normalFormOf(compileLibrary("mamba2")),
            Texts{"S' = decay multiply(negate(exp(A_log)), softplus(add(dt, dt_bias))) outer B | "
                  "multiply(softplus(add(dt, dt_bias)), x)"});
}

TEST(NormalForm, Gla) {
  EXPECT_EQ(normalFormOf(compileLibrary("gla")), Texts{"S' = decay g outer k | v"});
}

TEST(NormalForm, GatedDeltaNetComposesItsTwoStatements) {
  const std::string decay = "multiply(negate(exp(A_log)), softplus(add(a, dt_bias)))";
  const std::string betaK = "multiply(sigmoid(b), " + normOfK + ")";
  EXPECT_EQ(normalFormOf(compileLibrary("gated_delta_net")),
            Texts{"S' = decay " + decay + " rank1 negate(" + betaK + ") | multiply(exp(" + decay +
                  "), " + normOfK + ") outer " + betaK + " | v"});
}

/// Every field of the scan form, as text.
std::string scanOf(const Plan& plan) {
  if (!plan.scan)
    return "none";
  const ScanForm& scan = *plan.scan;
  const char* kinds[] = {"none", "scalar", "vector"};
  std::string text = plan.operands[scan.state].name + "[" + scan.keyDim + "," + scan.valueDim +
                     "] q=" + textOf(plan, scan.query) + " k=" + textOf(plan, scan.key) +
                     " v=" + textOf(plan, scan.value) +
                     " decay=" + kinds[static_cast<int>(scan.decay)];
  if (scan.logDecay != -1)
    text += std::string(scan.decaySide == Side::value ? " over V" : "") + ":" +
            textOf(plan, scan.logDecay);
  text += " read=" + textOf(plan, scan.read) + (scan.readsBefore ? " before" : "");
  if (scan.normaliser != -1)
    text += " normaliser=" + plan.operands[scan.normaliser].name + ":" +
            textOf(plan, scan.normaliserRead);
  if (scan.isSum())
    text += " reverse=" + plan.operands[scan.opposite].name + ":" + textOf(plan, scan.oppositeRead);
  if (scan.oppositeNormaliser != -1)
    text += "," + plan.operands[scan.oppositeNormaliser].name + ":" +
            textOf(plan, scan.oppositeNormaliserRead);
  return text;
}

TEST(ScanForm, OfTheLibrary) {
  const auto scan = [](const std::string& name) { return scanOf(compileLibrary(name).plan); };
  EXPECT_EQ(scan("gla"), "S[K,V] q=q k=k v=v decay=vector:g read=(q @K S')");
  EXPECT_EQ(scan("retnet"), "S[K,V] q=q k=k v=v decay=scalar:gamma read=(q @K S')");
  EXPECT_EQ(scan("mamba2"),
            "S[K,V] q=C k=B v=multiply(softplus(add(dt, dt_bias)), x) decay=scalar:"
            "multiply(negate(exp(A_log)), softplus(add(dt, dt_bias))) read=(C @K S')");
  EXPECT_EQ(scan("linear_attention"),
            "S[K,V] q=add(elu(q), 1) k=add(elu(k), 1) v=v decay=none read=(add(elu(q), 1) @K S') "
            "normaliser=z:(add(elu(q), 1) @K z')");
  EXPECT_EQ(scan("gated_delta_net"), "none");
}

TEST(ScanForm, OfBothDirectionsIsASum) {
  EXPECT_EQ(scanOf(compileLibrary("relu_linear").plan),
            "S[K,V] q=relu(q) k=relu(k) v=v decay=none read=(relu(q) @K S') "
            "normaliser=z:(relu(q) @K z') reverse=S_reverse:(relu(q) @K S_reverse),"
            "z_reverse:(relu(q) @K z_reverse)");
  EXPECT_EQ(scanOf(compileOne(R"(variant v(K, V) {
              direction both
              input q[K], k[K], v[V]
              state S[K, V]
              S <- S + k * v
              output o[V] = q @ S
            })")
                       .plan),
            "S[K,V] q=q k=k v=v decay=none read=(q @K S') reverse=S_reverse:(q @K S_reverse)");
}

/// With a decay, of other queries, keys or values, or of different tokens: a scan from each end.
TEST(ScanForm, OfOtherStatesInReverseIsAScanOfItsOwn) {
  const auto inReverse = [](const Plan& plan) {
    Plan other = plan;
    other.scan = plan.reverseScan;
    return scanOf(other);
  };
  const Plan vig = compileLibrary("vig").plan;
  EXPECT_EQ(scanOf(vig), "S[K,V] q=q k=k v=v decay=vector:g read=(q @K S')");
  EXPECT_EQ(inReverse(vig), "R[K,V] q=q k=k v=v decay=vector:h read=(q @K R')");
  for (const char* body : {"S <- exp(g) * S + k * v\nR <- R + k * v\noutput o[V] = q @ R + q @ S",
                           "S <- S + k * v\nR <- exp(g) * R + k * v\noutput o[V] = q @ R + q @ S",
                           "S <- S + k * v\nR <- R + q * v\noutput o[V] = q @ R + q @ S",
                           "S <- S + k * v\nR <- R + k * v\noutput o[V] = q @ R + k @ S",
                           "S <- S + k * v\nR <- R + k * v\noutput o[V] = q @ R + q @ S"}) {
    const Plan plan = compileOne("variant v(K, V) {\ninput q[K], k[K], v[V], g in log\n"
                                 "state S[K, V], R[K, V] in reverse\n" +
                                 std::string(body) + "\n}\n")
                          .plan;
    ASSERT_TRUE(plan.scan && plan.reverseScan) << body;
    EXPECT_FALSE(plan.scan->isSum()) << body;
    EXPECT_EQ(plan.operands[plan.scan->state].name, "S");
    EXPECT_EQ(plan.operands[plan.reverseScan->state].name, "R");
    EXPECT_TRUE(plan.remarks.empty());
  }
}

/// What two scans have no place for: a normaliser, a second output, the place of a token.
TEST(ScanForm, OfMoreThanAMatrixFromEachEndIsNone) {
  for (const char* body : {"R <- R + k * v\noutput o[V] = q @ R + q @ S\noutput p[V] = q @ S",
                           "R <- R + k * v\noutput o[V] = position * (q @ R) + q @ S",
                           "R <- R + k * (v - k @ R)\noutput o[V] = q @ R + q @ S"}) {
    const Plan plan = compileOne("variant v(K, V) {\ninput q[K], k[K], v[V], g in log\n"
                                 "state S[K, V], R[K, V] in reverse\nS <- exp(g) * S + k * v\n" +
                                 std::string(body) + "\n}\n")
                          .plan;
    EXPECT_FALSE(plan.scan || plan.reverseScan) << body;
    ASSERT_EQ(plan.remarks.size(), 1u) << body;
    EXPECT_EQ(plan.remarks[0].text, "the scan family does not run it: the state R goes in reverse");
  }
}

TEST(ScanForm, ReadsBeforeTheUpdateAndSumsTwoDecays) {
  EXPECT_EQ(scanOf(compileOne(R"(variant v(K, V) {
              input q[K], k[K], v[V], w[K] in log, f
              state S[K, V]
              output o[V] = q @ S
              S <- sigmoid(f) * (exp(w) * S) + k * v
            })")
                       .plan),
            "S[K,V] q=q k=k v=v decay=vector:add(logsigmoid(f), w) read=(q @K S) before");
}

TEST(ScanForm, DecaysOverEitherSide) {
  EXPECT_EQ(scanOf(compileOne(R"(variant v(K, V) {
              input q[K], k[K], v[V], f[V], b
              state S[K, V]
              S <- sigmoid(b) * (sigmoid(f) * S) + k * v
              output o[V] = q @ S
            })")
                       .plan),
            "S[K,V] q=q k=k v=v decay=vector over V:add(logsigmoid(b), logsigmoid(f)) "
            "read=(q @K S')");
  const Plan both = compileOne(R"(variant v(K, V) {
    input q[K], k[K], v[V], w[K] in log, u[V] in log
    state S[K, V]
    S <- exp(w + u) * S + k * v
    output o[V] = q @ S
  })")
                        .plan;
  EXPECT_FALSE(both.scan);
  ASSERT_EQ(both.remarks.size(), 1u);
  EXPECT_EQ(both.remarks[0].text,
            "the scan family does not run it: the state S decays over K and over V; the scan "
            "family takes a decay over one of them");
  EXPECT_EQ(both.remarks[0].line, 3);
}

/// A normaliser decays as the rows of the matrix do, which a decay over V has none for.
TEST(ScanForm, TakesNoNormaliserBesideADecayOverValues) {
  const Plan plan = compileOne(R"(variant v(K, V) {
    input q[K], k[K], v[V], u[V] in log
    state S[K, V], n[K]
    S <- exp(u) * S + k * v
    n <- n + k
    output o[V] = q @ S / (q @ n)
  })")
                        .plan;
  EXPECT_FALSE(plan.scan);
  ASSERT_EQ(plan.remarks.size(), 1u);
  EXPECT_EQ(plan.remarks[0].text, "the scan family does not run it: the state n is no normaliser: "
                                  "it does not decay as S does");
}

TEST(Plan, FamilyFollowsTheLength) {
  const Plan gla = compileLibrary("gla").plan, delta = compileLibrary("gated_delta_net").plan;
  EXPECT_EQ(gla.family(8), Family::step);
  EXPECT_EQ(gla.family(9), Family::scan);
  EXPECT_EQ(delta.family(1), Family::step);
  EXPECT_EQ(delta.family(9), Family::sequential);
}

TEST(Plan, OperandsStandAsDeclaredAndStatesLast) {
  const Plan plan = compileLibrary("mamba2").plan;
  Texts names;
  for (const Operand& operand : plan.operands)
    names.push_back(operand.name);
  EXPECT_EQ(names, (Texts{"C", "B", "x", "dt", "A_log", "dt_bias", "D", "y", "S"}));
  EXPECT_EQ(plan.operands[0].line, 6);
  EXPECT_EQ(textOf(plan, plan.operands[7].value), "add((C @K S'), multiply(D, x))");
  EXPECT_EQ(textOf(plan, plan.operands[8].value), "S'");
}

TEST(Plan, IsTheSameEveryTime) {
  for (const std::string& name : library())
    EXPECT_EQ(nlohmann::json(compileLibrary(name).plan).dump(),
              nlohmann::json(compileLibrary(name).plan).dump());
}

TEST(Plan, KeepsTheOrderInMemory) {
  const Plan plan = compileOne(R"(variant v(K, V) {
    input q[K], k[K], v[V]
    state S[V, K]
    S <- S + k * v
    output o[V] = q @ S
  })")
                        .plan;
  EXPECT_EQ(plan.operands.back().dims, (Texts{"V", "K"}));
  ASSERT_TRUE(plan.scan);
  EXPECT_EQ(plan.scan->keyDim, "K");
  EXPECT_EQ(plan.scan->valueDim, "V");
}

TEST(Plan, LeavesSumsOfWhatIsReadToTheSequentialFamily) {
  const Plan plan = compileOne(R"(variant v(K, V) {
   input q[K], k[K], v[V]
   state S[K, V]
   S <- S + k * v
   output o = sum(q @ S)
  })")
                        .plan;
  EXPECT_FALSE(plan.scan);
  ASSERT_EQ(plan.remarks.size(), 1u);
  EXPECT_EQ(plan.remarks[0].text, "the scan family does not run it: the output o is not over V");
}

/// A spec, and the remark that it gets.
struct Refused {
  std::string name, text, remark;
  int line;

  friend void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.name; }
};

const std::vector<Refused>& refusals() {
  static const std::vector<Refused> list{
      {"tanh", "S <- tanh(S) + k * v\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: tanh is applied to a value that depends on it; only "
       "the sequential form remains",
       4},
      {"product", "S <- S * S + k * v\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: a product of two values that both depend on it; "
       "only the sequential form remains",
       4},
      {"division", "S <- k * v / S\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: a division by a value that depends on it; only the "
       "sequential form remains",
       4},
      {"plain_decay", "S <- f * S + k * v\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: this decay is not certain to be positive; write it "
       "as exp(...) or sigmoid(...), or declare it 'in log' and write exp(...) of it; only the "
       "sequential form remains",
       2},
      {"negative_decay", "S <- -exp(f) * S + k * v\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: this decay is not certain to be positive; write it "
       "as exp(...) or sigmoid(...), or declare it 'in log' and write exp(...) of it; only the "
       "sequential form remains",
       4},
      {"negated_state", "S <- k * v - S\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: the factor of the old state is negative; only the "
       "sequential form remains",
       4},
      {"forgets", "S <- k * v\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: its update drops the old state; only the sequential "
       "form remains",
       4},
      {"matrix_decay", "S <- exp(k * v) * S + k * v\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: its decay over [K, V] is no product of decays over "
       "one dimension each; only the sequential form remains",
       4},
      {"full_matrix", "S <- S + exp(k + v)\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: a value over [K, V] is added to it that is no outer "
       "product of two vectors; only the sequential form remains",
       4},
      {"over_both", "S <- S + (S @ v) * v - k * (k @ S)\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: it is contracted over V, not over K; only the "
       "sequential form remains",
       4},
      {"scaled_read", "S <- S + k * ((k @ S) * v)\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: what is read from it is scaled over V; only the "
       "sequential form remains",
       4},
      {"read_after_decay_over_values",
       "S <- sigmoid(v) * S\nS <- S - k * (k @ S)\noutput o[V] = q @ S",
       "the recurrence of S is not recognised: it is read after a decay over V; only the "
       "sequential form remains",
       5},
      {"whole_state", "S <- S + k * v\noutput o[K, V] = S",
       "no chunk form: the state S is used other than by a contraction; only the sequential form "
       "remains",
       5},
      {"feedback",
       "let r = k @ u\nlet z = sum(q @ S)\nS <- S + r * k * v\nu <- u + z * k\noutput o[V] = q @ S",
       "no chunk form: what this reads from the state S flows back into the same state; only the "
       "sequential form remains",
       5},
  };
  return list;
}

class Refusals : public testing::TestWithParam<Refused> {};

TEST_P(Refusals, AreRemarksAtTheirLine) {
  const Refused& refused = GetParam();
  const bool feedback = refused.name == "feedback";
  const std::string text = "variant v(K, V) {\ninput q[K], k[K], v[V], f\n" +
                           std::string(feedback ? "state S[K, V], u[K]\n" : "state S[K, V]\n") +
                           refused.text + "\n}\n";
  const CompiledVariant variant = compileOne(text);
  EXPECT_FALSE(variant.has(Stage::chunk));
  EXPECT_FALSE(variant.plan.scan);
  ASSERT_FALSE(variant.plan.remarks.empty());
  EXPECT_EQ(variant.plan.remarks[0].text, refused.remark);
  EXPECT_EQ(variant.plan.remarks[0].line, refused.line);
  const Arguments call = randomCall(variant, {1, 5, 1}, {{"K", 3}, {"V", 3}});
  EXPECT_EQ(interpret(variant, call, 0, 1).outputs.size(), 1u);
  EXPECT_THROW(interpret(variant, call, 4, 1), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Specs, Refusals, testing::ValuesIn(refusals()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lathe::test
