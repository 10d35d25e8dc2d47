// A plan as JSON and back: for `lathe explain`, and for programs that keep plans without the
// compiler.
#include "compiler/plan/Dims.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace lathe {

using nlohmann::json;

namespace {

template <typename Enum> struct Named {
  Enum value;
  const char* name;
};

constexpr std::array<Named<Node::Kind>, 15> nodeKinds{{
    {Node::Kind::operand, "operand"},
    {Node::Kind::constant, "constant"},
    {Node::Kind::override_, "override"},
    {Node::Kind::dimension, "dimension"},
    {Node::Kind::position, "position"},
    {Node::Kind::state, "state"},
    {Node::Kind::map, "map"},
    {Node::Kind::sum, "sum"},
    {Node::Kind::contract, "contract"},
    {Node::Kind::affine, "affine"},
    {Node::Kind::max, "max"},
    {Node::Kind::index, "index"},
    {Node::Kind::rotate, "rotate"},
    {Node::Kind::taylor, "taylor"},
    {Node::Kind::taylorAdjoint, "taylor adjoint"},
}};

constexpr std::array<Named<Operand::Kind>, 5> operandKinds{{
    {Operand::Kind::input, "input"},
    {Operand::Kind::param, "param"},
    {Operand::Kind::constant, "constant"},
    {Operand::Kind::output, "output"},
    {Operand::Kind::state, "state"},
}};

constexpr std::array<Named<DecayKind>, 3> decayKinds{{
    {DecayKind::none, "none"},
    {DecayKind::scalar, "scalar"},
    {DecayKind::vector, "vector"},
}};

constexpr std::array<Named<Side>, 2> sides{{{Side::key, "key"}, {Side::value, "value"}}};

template <typename Enum, std::size_t N>
const char* nameIn(const std::array<Named<Enum>, N>& table, Enum value) {
  for (const auto& row : table)
    if (row.value == value)
      return row.name;
  return "unknown";
}

template <typename Enum, std::size_t N>
Enum valueIn(const std::array<Named<Enum>, N>& table, const json& found, const char* what) {
  std::string accepted;
  for (const auto& row : table) {
    if (found.is_string() && found.get_ref<const std::string&>() == row.name)
      return row.value;
    accepted += (accepted.empty() ? "" : ", ") + std::string(row.name);
  }
  throw std::invalid_argument(std::string(what) + " is " + found.dump() + "; it must be one of " +
                              accepted);
}

Op opNamed(const json& found) {
  for (int i = 0; i < opCount; ++i)
    if (found.is_string() && found.get_ref<const std::string&>() == name(static_cast<Op>(i)))
      return static_cast<Op>(i);
  throw std::invalid_argument("op is " + found.dump() + ", which is no scalar operation");
}

/// Indices that read out of range would be found only when a kernel is written: they are refused
/// here.
void requireIndex(int index, std::size_t size, const char* what) {
  if (index < 0 || static_cast<std::size_t>(index) >= size)
    throw std::invalid_argument(std::string(what) + " is " + std::to_string(index) +
                                "; it must lie in 0.." + std::to_string(size) + " (exclusive)");
}

void requireIndexOrNone(int index, std::size_t size, const char* what) {
  if (index != -1)
    requireIndex(index, size, what);
}

void checkNode(const Plan& plan, std::size_t at) {
  const Node& node = plan.nodes[at];
  for (int arg : node.args)
    requireIndex(arg, at, "an argument of a node");
  requireIndexOrNone(node.operand, plan.operands.size(), "operand of a node");
  requireIndexOrNone(node.affine, plan.recurrences.size(), "affine of a node");
  std::size_t fewest = 0, most = 0;
  switch (node.kind) {
  case Node::Kind::operand:
  case Node::Kind::state:
    requireIndex(node.operand, plan.operands.size(), "operand of a node");
    break;
  case Node::Kind::override_:
    requireIndex(node.operand, plan.operands.size(), "operand of a node");
    fewest = most = 1;
    break;
  case Node::Kind::map:
    fewest = 1, most = 2;
    break;
  case Node::Kind::sum:
  case Node::Kind::max:
  case Node::Kind::rotate:
  case Node::Kind::taylor:
    fewest = most = 1;
    break;
  case Node::Kind::contract:
  case Node::Kind::taylorAdjoint:
    fewest = most = 2;
    break;
  case Node::Kind::affine:
    requireIndex(node.affine, plan.recurrences.size(), "affine of a node");
    most = node.args.size();
    break;
  case Node::Kind::constant:
  case Node::Kind::dimension:
  case Node::Kind::position:
  case Node::Kind::index:
    break;
  }
  if (node.args.size() < fewest || node.args.size() > most)
    throw std::invalid_argument("node " + std::to_string(at) + " (" + nameIn(nodeKinds, node.kind) +
                                ") has " + std::to_string(node.args.size()) + " arguments");
}

void checkScan(const Plan& plan, const ScanForm& scan) {
  const std::size_t operands = plan.operands.size(), nodes = plan.nodes.size();
  requireIndex(scan.state, operands, "state of the scan");
  for (int node : {scan.query, scan.key, scan.value, scan.read})
    requireIndex(node, nodes, "a node of the scan");
  requireIndexOrNone(scan.logDecay, nodes, "the log-decay of the scan");
  requireIndexOrNone(scan.normaliser, operands, "the normaliser of the scan");
  requireIndexOrNone(scan.normaliserRead, nodes, "the normaliser's read");
  for (int state : {scan.opposite, scan.oppositeNormaliser})
    requireIndexOrNone(state, operands, "a state of the scan in reverse");
  for (int node : {scan.oppositeRead, scan.oppositeNormaliserRead})
    requireIndexOrNone(node, nodes, "a read of the scan in reverse");
}

void check(const Plan& plan) {
  const std::size_t nodes = plan.nodes.size(), operands = plan.operands.size();
  for (const DerivedDim& derived : plan.rules.derived)
    derivedSize(derived.function, 1);
  for (std::size_t at = 0; at < nodes; ++at)
    checkNode(plan, at);
  for (const Operand& operand : plan.operands)
    requireIndexOrNone(operand.value, nodes, "value of an operand");
  for (const Recurrence& recurrence : plan.recurrences) {
    requireIndex(recurrence.state, operands, "state of a recurrence");
    for (int decay : recurrence.logDecays)
      requireIndex(decay, nodes, "a log-decay");
    for (const auto& [left, right] : recurrence.rank1) {
      requireIndex(left, nodes, "the left of a rank-1 term");
      requireIndex(right, nodes, "the right of a rank-1 term");
    }
    for (const auto& [key, value] : recurrence.outer) {
      requireIndex(key, nodes, "the key of an outer product");
      requireIndex(value, nodes, "the value of an outer product");
    }
  }
  for (const std::optional<ScanForm>& scan : {plan.scan, plan.reverseScan})
    if (scan)
      checkScan(plan, *scan);
}

}  // namespace

static void to_json(json& out, const Node& node) {
  out = {{"kind", nameIn(nodeKinds, node.kind)}, {"dims", node.dims}};
  if (node.kind == Node::Kind::map)
    out["op"] = name(node.op);
  if (!node.args.empty())
    out["args"] = node.args;
  if (!node.name.empty())
    out["name"] = node.name;
  if (node.kind == Node::Kind::constant) {
    if (std::isfinite(node.value))
      out["value"] = node.value;
    else  // JSON has no infinity.
      out["value"] = std::isnan(node.value) ? "nan" : node.value > 0 ? "inf" : "-inf";
  }
  if (node.operand != -1)
    out["operand"] = node.operand;
  if (node.affine != -1)
    out["affine"] = node.affine;
}

static double numberIn(const json& in) {
  return in.is_string() ? std::stod(in.get<std::string>()) : in.get<double>();
}

static void from_json(const json& in, Node& node) {
  node = Node{};
  node.kind = valueIn(nodeKinds, in.at("kind"), "kind of a node");
  in.at("dims").get_to(node.dims);
  if (node.kind == Node::Kind::map)
    node.op = opNamed(in.at("op"));
  node.args = in.value("args", std::vector<int>{});
  node.name = in.value("name", std::string{});
  if (node.kind == Node::Kind::constant)
    node.value = numberIn(in.at("value"));
  node.operand = in.value("operand", -1);
  node.affine = in.value("affine", -1);
}

static void to_json(json& out, const Operand& operand) {
  out = {{"kind", nameIn(operandKinds, operand.kind)},
         {"name", operand.name},
         {"dims", operand.dims},
         {"log", operand.log},
         {"value", operand.value},
         {"line", operand.line}};
  if (operand.reverse)
    out["reverse"] = true;
}

static void from_json(const json& in, Operand& operand) {
  operand.kind = valueIn(operandKinds, in.at("kind"), "kind of an operand");
  in.at("name").get_to(operand.name);
  in.at("dims").get_to(operand.dims);
  in.at("log").get_to(operand.log);
  in.at("value").get_to(operand.value);
  in.at("line").get_to(operand.line);
  operand.reverse = in.value("reverse", false);
}

static void to_json(json& out, const Recurrence& recurrence) {
  out = {{"state", recurrence.state},
         {"key", recurrence.key},
         {"logDecays", recurrence.logDecays},
         {"rank1", json::array()},
         {"outer", json::array()}};
  for (const auto& [left, right] : recurrence.rank1)
    out["rank1"].push_back({{"left", left}, {"right", right}});
  for (const auto& [key, value] : recurrence.outer)
    out["outer"].push_back({{"key", key}, {"value", value}});
}

static void from_json(const json& in, Recurrence& recurrence) {
  recurrence = Recurrence{};
  in.at("state").get_to(recurrence.state);
  in.at("key").get_to(recurrence.key);
  in.at("logDecays").get_to(recurrence.logDecays);
  for (const json& term : in.at("rank1"))
    recurrence.rank1.push_back({term.at("left").get<int>(), term.at("right").get<int>()});
  for (const json& term : in.at("outer"))
    recurrence.outer.push_back({term.at("key").get<int>(), term.at("value").get<int>()});
}

static void to_json(json& out, const ScanForm& scan) {
  out = {{"keyDim", scan.keyDim},
         {"valueDim", scan.valueDim},
         {"state", scan.state},
         {"query", scan.query},
         {"key", scan.key},
         {"value", scan.value},
         {"logDecay", scan.logDecay},
         {"decay", nameIn(decayKinds, scan.decay)},
         {"read", scan.read},
         {"readsBefore", scan.readsBefore},
         {"normaliser", scan.normaliser},
         {"normaliserRead", scan.normaliserRead}};
  if (scan.reverse)
    out["reverse"] = true;
  if (scan.decaySide != Side::key)
    out["decaySide"] = nameIn(sides, scan.decaySide);
  if (scan.isSum())
    out.update({{"opposite", scan.opposite},
                {"oppositeRead", scan.oppositeRead},
                {"oppositeNormaliser", scan.oppositeNormaliser},
                {"oppositeNormaliserRead", scan.oppositeNormaliserRead}});
}

static void from_json(const json& in, ScanForm& scan) {
  in.at("keyDim").get_to(scan.keyDim);
  in.at("valueDim").get_to(scan.valueDim);
  in.at("state").get_to(scan.state);
  in.at("query").get_to(scan.query);
  in.at("key").get_to(scan.key);
  in.at("value").get_to(scan.value);
  in.at("logDecay").get_to(scan.logDecay);
  scan.decay = valueIn(decayKinds, in.at("decay"), "decay of the scan");
  in.at("read").get_to(scan.read);
  in.at("readsBefore").get_to(scan.readsBefore);
  scan.reverse = in.value("reverse", false);
  in.at("normaliser").get_to(scan.normaliser);
  in.at("normaliserRead").get_to(scan.normaliserRead);
  if (in.contains("decaySide"))
    scan.decaySide = valueIn(sides, in.at("decaySide"), "side of the decay of the scan");
  scan.opposite = in.value("opposite", -1);
  scan.oppositeRead = in.value("oppositeRead", -1);
  scan.oppositeNormaliser = in.value("oppositeNormaliser", -1);
  scan.oppositeNormaliserRead = in.value("oppositeNormaliserRead", -1);
}

static void to_json(json& out, const DerivedDim& derived) {
  out = {{"dim", derived.dim}, {"function", derived.function}, {"from", derived.from}};
}

static void from_json(const json& in, DerivedDim& derived) {
  in.at("dim").get_to(derived.dim);
  in.at("function").get_to(derived.function);
  in.at("from").get_to(derived.from);
}

static void to_json(json& out, const Remark& remark) {
  out = {{"line", remark.line}, {"column", remark.column}, {"text", remark.text}};
}

static void from_json(const json& in, Remark& remark) {
  in.at("line").get_to(remark.line);
  in.at("column").get_to(remark.column);
  in.at("text").get_to(remark.text);
}

void to_json(json& out, const Plan& plan) {
  out = {{"variant", plan.variant},         {"dims", plan.dims},
         {"operands", plan.operands},       {"nodes", plan.nodes},
         {"recurrences", plan.recurrences}, {"remarks", plan.remarks}};
  if (plan.scan)
    out["scan"] = *plan.scan;
  if (plan.reverseScan)
    out["reverseScan"] = *plan.reverseScan;
  if (!plan.rules.derived.empty())
    out["derived"] = plan.rules.derived;
  if (!plan.rules.even.empty())
    out["even"] = plan.rules.even;
  if (!plan.noKernel.empty())
    out["noKernel"] = plan.noKernel;
}

void from_json(const json& in, Plan& plan) {
  try {
    Plan read;
    in.at("variant").get_to(read.variant);
    in.at("dims").get_to(read.dims);
    in.at("operands").get_to(read.operands);
    in.at("nodes").get_to(read.nodes);
    in.at("recurrences").get_to(read.recurrences);
    in.at("remarks").get_to(read.remarks);
    for (auto [name, scan] :
         {std::pair{"scan", &read.scan}, std::pair{"reverseScan", &read.reverseScan}})
      if (in.contains(name))
        from_json(in.at(name), scan->emplace());
    read.rules.derived = in.value("derived", std::vector<DerivedDim>{});
    read.rules.even = in.value("even", std::vector<std::string>{});
    read.noKernel = in.value("noKernel", "");
    check(read);
    plan = std::move(read);
  } catch (const json::exception& error) {
    throw std::invalid_argument(std::string("not a plan: ") + error.what());
  }
}

}  // namespace lathe
