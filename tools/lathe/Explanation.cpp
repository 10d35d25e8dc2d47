#include "tools/lathe/Explanation.h"

#include "tools/lathe/Classify.h"
#include "tools/lathe/Formula.h"
#include "tools/lathe/Number.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

namespace lathe::tool {

namespace {

constexpr const char* normalTitle = "Normal form, of one token and head";
constexpr const char* gradientTitle =
    "Gradient, of one token and head: dx is that of the loss with respect to x";

/// What is written where no kernel says how long a chunk is.
constexpr int usualChunk = 64;

std::vector<Explanation::Role> rolesOf(const Plan& plan, const Formulas& formulas) {
  std::vector<Explanation::Role> roles;
  if (!plan.scan)
    return roles;
  const auto add = [&](const char* role, int node) {
    if (node < 0)
      return;
    std::string dims;
    for (const std::string& dim : plan.nodes[node].dims)
      dims += (dims.empty() ? "" : ", ") + dim;
    roles.push_back({role, formulas.text(node) + (dims.empty() ? "" : "   [" + dims + "]")});
  };
  add("query", plan.scan->query);
  add("key", plan.scan->key);
  add("value", plan.scan->value);
  add("log-decay", plan.scan->logDecay);
  if (plan.reverseScan)
    add("log-decay in reverse", plan.reverseScan->logDecay);
  if (plan.scan->normaliser >= 0)
    roles.push_back({"normaliser", plan.operands[plan.scan->normaliser].name + ", read as " +
                                       formulas.text(plan.scan->normaliserRead)});
  return roles;
}

Explanation::Forms formsOf(const Formulas& formulas, Formulas::Style style) {
  return {formulas.lines(Stage::normal, style), formulas.lines(Stage::chunk, style),
          formulas.lines(Stage::gradient, style)};
}

nlohmann::json toJson(const Explanation::Forms& forms) {
  return {{"normal", forms.normal}, {"chunk", forms.chunk}, {"gradient", forms.gradient}};
}

nlohmann::json toJson(const TokenCost& cost) {
  return {{"bytes", cost.bytes}, {"flop", cost.flop}, {"chunk_flop", cost.chunkFlop}};
}

nlohmann::json toJson(const BackwardExplanation& e) {
  if (!e.noKernel.empty())
    return {{"none", e.noKernel}};
  nlohmann::json json = {{"family", name(Family::sequential)},
                         {"default", toString(e.tile)},
                         {"candidates", e.candidates},
                         {"workspace_bytes", e.bytes},
                         {"kept_bytes", e.keptBytes}};
  for (const auto& [scan, tile] : e.scans)
    json["scans"][scan] = toString(tile);
  return json;
}

std::string dimsText(const Signature& signature) {
  std::string text;
  for (const auto& [dim, size] : signature.dims)
    text += dim + "=" + std::to_string(size) + " ";
  return text + name(signature.compute);
}

std::string shapeText(const Shape& shape) {
  return "B" + std::to_string(shape.batch) + " T" + std::to_string(shape.tokens) + " H" +
         std::to_string(shape.heads);
}

/// A label and a text, broken between words.
void line(std::ostream& out, const std::string& label, const std::string& text) {
  constexpr std::size_t indent = 18, width = 100;
  out << "  " << label << std::string(std::max<int>(1, 16 - int(label.size())), ' ');
  std::size_t used = indent;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ' '); used += word.size() + 1) {
    const bool isNew = used > indent && used + word.size() > width;
    if (isNew)
      used = indent;
    out << (isNew ? "\n" + std::string(indent, ' ') : used > indent ? " " : "") << word;
  }
  out << "\n";
}

std::string costText(const TokenCost& cost, int chunk) {
  const auto kiloFlop = [](double flop) { return fixedText(flop / 1e3, 1) + " kFLOP"; };
  return bytesText(cost.bytes) + " and " + kiloFlop(cost.flop) +
         (cost.chunkFlop > 0
              ? " (" + kiloFlop(cost.chunkFlop) + " in chunks of " + std::to_string(chunk) + ")"
              : "");
}

void printTiles(std::ostream& out, const Explanation& e) {
  constexpr std::size_t shown = 5;
  out << "\nTiles of the " << name(e.family) << " kernel on " << e.arch
      << " (c chunk, b block, v columns of a block, s stages,\n"
      << "k lanes a column, x columns a lane)\n";
  if (!e.noKernel.empty()) {
    line(out, "none", e.noKernel);
    return;
  }
  line(out, "default", toString(e.tiles.tiles.front()) + ", the best by the model");
  std::string next;
  for (std::size_t i = 1; i < std::min(shown, e.tiles.tiles.size()); ++i)
    next += (next.empty() ? "" : "; ") + toString(e.tiles.tiles[i]);
  if (!next.empty())
    line(out, "then", next);
  line(out, "candidates", std::to_string(e.tiles.tiles.size()) + "; `lathe tune` measures them");
  std::map<std::string, int> reasons;
  for (const Pruned& pruned : e.tiles.pruned)
    ++reasons[pruned.reason];
  for (const auto& [reason, count] : reasons)
    line(out, "pruned", std::to_string(count) + ": " + reason);
}

nlohmann::json tileJson(const Explanation& e) {
  nlohmann::json tiles = {{"candidates", nlohmann::json::array()},
                          {"pruned", nlohmann::json::array()}};
  for (const Tile& tile : e.tiles.tiles)
    tiles["candidates"].push_back(toString(tile));
  for (const Pruned& pruned : e.tiles.pruned)
    tiles["pruned"].push_back({{"tile", toString(pruned.tile)}, {"reason", pruned.reason}});
  if (e.noKernel.empty())
    tiles["default"] = toString(e.tiles.tiles.front());
  else
    tiles["none"] = e.noKernel;
  return tiles;
}

}  // namespace

Explanation explainVariant(const CompiledVariant& variant, const KernelOptions& options) {
  const Plan& plan = variant.plan;
  Explanation e;
  e.variant = variant.name;
  e.kind = classify(plan);
  const Formulas formulas(variant);
  e.formulas = formsOf(formulas, Formulas::Style::text);
  e.latex = formsOf(formulas, Formulas::Style::latex);
  e.remarks = plan.remarks;
  e.isStabilised = variant.isStabilised;
  e.hasChunkForm = variant.has(Stage::chunk);
  for (const Operand& operand : plan.operands)
    if (operand.reverse)
      e.reverseState = operand.name;
  e.chunkTitle = "Chunk form, of " + formulas.chunkLegend();
  e.roles = rolesOf(plan, formulas);
  e.signature = parseSignature(options, plan);
  e.shape = options.shape.empty() ? Shape{8, 4096, 16} : parseShape(options.shape);
  e.family = parseFamily(options.family, plan, e.shape.tokens);
  e.arch = archOrDefault(options.arch);
  e.board = boardOf(e.arch);
  try {
    e.tiles =
        candidates(plan, e.family, e.signature, knownDevice(e.arch), e.shape.batch * e.shape.heads);
  } catch (const std::invalid_argument& error) {
    e.noKernel = error.what();
  }
  const bool isScan = e.noKernel.empty() && e.family == Family::scan;
  e.chunk = isScan ? e.tiles.tiles.front().chunk : usualChunk;
  e.cost = tokenCost(variant, e.signature, e.chunk);
  e.gradientCost = gradientCost(variant, e.signature, e.chunk);
  e.stateBytes = stateBytes(plan, e.signature);
  const bool isStep = e.family == Family::step;
  e.callBytes = minBytes(plan, e.signature, e.shape, {}, {.isRead = isStep});
  e.callFlop = (e.family == Family::scan ? e.cost.chunkFlop : e.cost.flop) * double(e.shape.batch) *
               double(e.shape.tokens) * double(e.shape.heads);
  // Only the scan family multiplies on the tensor cores; the others are bound by memory or by the
  // chain from token to token, which no roofline shows.
  e.rooflineSeconds =
      rooflineSeconds(e.board, e.signature, e.callBytes, e.family == Family::scan ? e.callFlop : 0);
  e.backward = explainBackward(variant, e.signature, e.shape, e.arch);
  return e;
}

void printFormulas(std::ostream& out, const std::string& title,
                   const std::vector<std::string>& formulas) {
  out << "\n" << title << "\n";
  for (const std::string& formula : formulas)
    out << "  " << formula << "\n";
}

void print(std::ostream& out, const Explanation& e) {
  out << e.variant << ": " << e.kind << "\n";
  printFormulas(out, normalTitle, e.formulas.normal);
  if (e.hasChunkForm)
    printFormulas(out, e.chunkTitle, e.formulas.chunk);
  printFormulas(out, gradientTitle, e.formulas.gradient);
  out << "\nDerived\n";
  line(out, "chunk form",
       e.hasChunkForm ? "a chunk of tokens by matrix products (lathe emit --stage chunk)"
                      : "none: the variant runs token by token");
  line(out, "step",
       e.reverseState.empty() ? "one token at a time, the states updated in place"
                              : "none: the state " + e.reverseState + " goes in reverse");
  if (e.isStabilised)
    line(
        out, "stabiliser",
        "m, a running maximum: where exponential gates write into a state, it is kept as its value "
        "times exp(-m)");
  for (const Remark& remark : e.remarks)
    line(out, "line " + std::to_string(remark.line), remark.text);
  out << "\nPlan for " << shapeText(e.shape) << ", " << dimsText(e.signature) << "\n";
  line(out, "family", name(e.family));
  line(out, "backward", textOf(e.backward));
  for (const Explanation::Role& role : e.roles)
    line(out, role.role, role.formula);
  out << "\nLeast cost\n";
  line(out, "a token", costText(e.cost, e.chunk) + " for each head");
  line(out, "its gradient", costText(e.gradientCost, e.chunk));
  line(out, "the states", bytesText(e.stateBytes) + " for each batch and head");
  line(out, "the call",
       bytesText(e.callBytes) + " and " + fixedText(e.callFlop / 1e9, 1) + " GFLOP");
  line(out, "roofline",
       timeText(e.rooflineSeconds) + " on " + e.board.name + " (" +
           fixedText(e.board.copyGBps / 1000, 2) + " TB/s, " + fixedText(e.board.teraflops, 0) +
           " TFLOP/s, " + (e.board.isMeasured ? "measured" : "by its data sheet") + ")");
  printTiles(out, e);
}

void printLatex(std::ostream& out, const Explanation& e) {
  out << "% " << e.variant << ": " << e.kind << "\n";
  const auto align = [&](const std::string& title, const std::vector<std::string>& rows) {
    out << "\n% " << title << "\n\\begin{align*}\n";
    for (std::size_t row = 0; row < rows.size(); ++row)
      out << rows[row] << (row + 1 < rows.size() ? " \\\\\n" : "\n");
    out << "\\end{align*}\n";
  };
  align(normalTitle, e.latex.normal);
  if (e.hasChunkForm)
    align(e.chunkTitle, e.latex.chunk);
  align(gradientTitle, e.latex.gradient);
}

nlohmann::json toJson(const Explanation& e) {
  nlohmann::json roles = nlohmann::json::object(), remarks = nlohmann::json::array();
  for (const Explanation::Role& role : e.roles)
    roles[role.role] = role.formula;
  for (const Remark& remark : e.remarks)
    remarks.push_back({{"line", remark.line}, {"column", remark.column}, {"text", remark.text}});
  return {{"variant", e.variant},
          {"class", e.kind},
          {"formulas", toJson(e.formulas)},
          {"latex", toJson(e.latex)},
          {"chunk_form", e.hasChunkForm},
          {"remarks", remarks},
          {"family", name(e.family)},
          {"roles", roles},
          {"B", e.shape.batch},
          {"T", e.shape.tokens},
          {"H", e.shape.heads},
          {"dims", e.signature.dims},
          {"dtype", name(e.signature.compute)},
          {"chunk", e.chunk},
          {"token", toJson(e.cost)},
          {"gradient", toJson(e.gradientCost)},
          {"state_bytes", e.stateBytes},
          {"min_bytes", e.callBytes},
          {"flop", e.callFlop},
          {"arch", e.arch},
          {"board",
           {{"name", e.board.name},
            {"copy_GBps", e.board.copyGBps},
            {"TFLOPs", e.board.teraflops},
            {"measured", e.board.isMeasured}}},
          {"roofline_us", e.rooflineSeconds * 1e6},
          {"tiles", tileJson(e)},
          {"backward", toJson(e.backward)}};
}

}  // namespace lathe::tool
