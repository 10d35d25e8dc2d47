// A plan survives JSON, and JSON that is no plan is refused with what is wrong.
#include "compiler/plan/Plan.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>

namespace lathe {
namespace {

using nlohmann::json;

/// gla without its scale: every kind of field is set somewhere.
Plan smallPlan() {
  Plan plan;
  plan.variant = "gla";
  plan.dims = {"K", "V"};
  plan.operands = {{Operand::Kind::input, "q", {"K"}, false, -1, 3},
                   {Operand::Kind::input, "v", {"V"}, false, -1, 3},
                   {Operand::Kind::input, "g", {"K"}, true, -1, 4},
                   {Operand::Kind::output, "o", {"V"}, false, 5, 9},
                   {Operand::Kind::state, "S", {"K", "V"}, false, 4, 6}};
  const auto operand = [](int index, std::vector<std::string> dims, Node::Kind kind) {
    Node node{};
    node.kind = kind;
    node.operand = index;
    node.dims = std::move(dims);
    return node;
  };
  plan.nodes = {operand(0, {"K"}, Node::Kind::operand), operand(1, {"V"}, Node::Kind::operand),
                operand(2, {"K"}, Node::Kind::operand), operand(4, {"K", "V"}, Node::Kind::state)};
  Node affine{};
  affine.kind = Node::Kind::affine;
  affine.args = {3, 2, 0, 1};
  affine.dims = {"K", "V"};
  affine.affine = 0;
  Node read{};
  read.kind = Node::Kind::contract;
  read.args = {0, 4};
  read.dims = {"V"};
  read.name = "K";
  Node number{};
  number.kind = Node::Kind::constant;
  number.value = -std::numeric_limits<double>::infinity();
  Node map{};
  map.kind = Node::Kind::map;
  map.op = Op::maximum;
  map.args = {5, 6};
  map.dims = {"V"};
  plan.nodes.insert(plan.nodes.end(), {affine, read, number, map});
  plan.recurrences = {{4, "K", {2}, {{0, 0}}, {{0, 1}}}};
  plan.scan = ScanForm{"K", "V", 4, 0, 0, 1, 2, DecayKind::vector, 5, false, -1, -1};
  plan.scan->decaySide = Side::value;
  plan.scan->reverse = true;
  plan.remarks = {{3, 7, "a remark"}};
  plan.rules = {{{"F", "taylor2", "K"}}, {"K"}};
  plan.operands[4].reverse = true;
  plan.noKernel = "the state S goes in reverse";
  return plan;
}

TEST(PlanJson, SurvivesTheWayThereAndBack) {
  const json text = smallPlan();
  const Plan read = json::parse(text.dump()).get<Plan>();
  EXPECT_EQ(json(read), text);
  EXPECT_EQ(read.operands[2].log, true);
  EXPECT_EQ(read.nodes[6].value, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(read.nodes[7].op, Op::maximum);
  EXPECT_EQ(read.recurrences[0].key, "K");
  EXPECT_EQ(read.recurrences[0].rank1.size(), 1u);
  ASSERT_TRUE(read.scan);
  EXPECT_EQ(read.scan->decay, DecayKind::vector);
  EXPECT_EQ(read.scan->decaySide, Side::value);
  EXPECT_TRUE(read.scan->reverse);
  EXPECT_EQ(read.remarks[0].column, 7);
  ASSERT_EQ(read.rules.derived.size(), 1u);
  EXPECT_EQ(read.rules.derived[0].from, "K");
  EXPECT_EQ(read.rules.even, std::vector<std::string>{"K"});
  EXPECT_TRUE(read.operands[4].reverse);
  EXPECT_FALSE(read.operands[3].reverse);
  EXPECT_EQ(read.noKernel, "the state S goes in reverse");
}

TEST(PlanJson, KeepsTheStatesOfASum) {
  Plan plan = smallPlan();
  plan.scan->opposite = 4, plan.scan->oppositeRead = 5;
  const Plan read = json(plan).get<Plan>();
  EXPECT_TRUE(read.scan->isSum());
  EXPECT_EQ(read.scan->oppositeRead, 5);
  EXPECT_EQ(read.scan->oppositeNormaliser, -1);
}

TEST(PlanJson, KeepsTheScanInReverse) {
  Plan plan = smallPlan();
  EXPECT_FALSE(json(plan).get<Plan>().reverseScan);
  plan.reverseScan = plan.scan;
  plan.reverseScan->query = 2;
  const Plan read = json(plan).get<Plan>();
  ASSERT_TRUE(read.reverseScan);
  EXPECT_EQ(read.reverseScan->query, 2);
  EXPECT_EQ(read.scan->query, plan.scan->query);
}

TEST(PlanJson, KeepsAPlanWithoutScan) {
  Plan plan = smallPlan();
  plan.scan.reset();
  EXPECT_FALSE(json(plan).get<Plan>().scan);
}

/// The error of a plan whose JSON was changed.
std::string errorOf(void (*change)(json&)) {
  json text = smallPlan();
  change(text);
  try {
    text.get<Plan>();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

TEST(PlanJson, SaysWhatIsWrong) {
  EXPECT_NE(errorOf([](json& j) { j.erase("nodes"); }).find("not a plan: "), std::string::npos);
  EXPECT_NE(errorOf([](json& j) { j["dims"] = 3; }).find("not a plan: "), std::string::npos);
  EXPECT_EQ(errorOf([](json& j) { j["nodes"][0]["kind"] = "tensor"; }),
            "kind of a node is \"tensor\"; it must be one of operand, constant, override, "
            "dimension, position, state, map, sum, contract, affine, max, index, rotate, taylor, "
            "taylor adjoint");
  EXPECT_EQ(errorOf([](json& j) { j["operands"][0]["kind"] = 1; }),
            "kind of an operand is 1; it must be one of input, param, constant, output, state");
  EXPECT_EQ(errorOf([](json& j) { j["scan"]["decay"] = "matrix"; }),
            "decay of the scan is \"matrix\"; it must be one of none, scalar, vector");
  EXPECT_EQ(errorOf([](json& j) { j["scan"]["decaySide"] = "query"; }),
            "side of the decay of the scan is \"query\"; it must be one of key, value");
  EXPECT_EQ(errorOf([](json& j) { j["nodes"][7]["op"] = "arcsin"; }),
            "op is \"arcsin\", which is no scalar operation");
  EXPECT_EQ(errorOf([](json& j) { j["derived"][0]["function"] = "square"; }),
            "a dimension is derived by 'square'; the functions that derive one are: taylor2");
  EXPECT_EQ(errorOf([](json& j) { j["nodes"][5]["args"] = {0}; }),
            "node 5 (contract) has 1 arguments");
  EXPECT_EQ(errorOf([](json& j) { j["nodes"][5]["args"] = {0, 5}; }),
            "an argument of a node is 5; it must lie in 0..5 (exclusive)");
  EXPECT_EQ(errorOf([](json& j) { j["nodes"][0]["operand"] = 9; }),
            "operand of a node is 9; it must lie in 0..5 (exclusive)");
  EXPECT_EQ(errorOf([](json& j) { j["operands"][3]["value"] = 80; }),
            "value of an operand is 80; it must lie in 0..8 (exclusive)");
  EXPECT_EQ(errorOf([](json& j) { j["recurrences"][0]["logDecays"] = {-1}; }),
            "a log-decay is -1; it must lie in 0..8 (exclusive)");
  EXPECT_EQ(errorOf([](json& j) { j["scan"]["query"] = 8; }),
            "a node of the scan is 8; it must lie in 0..8 (exclusive)");
}

TEST(Plan, NamesOfOperationsAreDistinct) {
  for (int i = 0; i < opCount; ++i)
    for (int j = 0; j < i; ++j)
      EXPECT_STRNE(name(static_cast<Op>(i)), name(static_cast<Op>(j)));
}

}  // namespace
}  // namespace lathe
