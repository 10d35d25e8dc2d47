#include "tuner/Record.h"

#include "cache/Sha256.h"

#include <bit>
#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace lathe {

using nlohmann::json;

namespace {

constexpr Trial::Outcome outcomes[] = {Trial::Outcome::pruned,   Trial::Outcome::spills,
                                       Trial::Outcome::rejected, Trial::Outcome::slower,
                                       Trial::Outcome::finalist, Trial::Outcome::winner};

/// The plan but for what only points into its spec.
json meaningOf(const Plan& plan) {
  json meaning = plan;
  meaning.erase("remarks");
  for (json& operand : meaning.at("operands"))
    operand.erase("line");
  return meaning;
}

/// The dtype of every tensor, in the order of the plan.
json dtypesOf(const Problem& problem) {
  json dtypes = json::array();
  for (std::size_t i = 0; i < problem.plan->operands.size(); ++i)
    if (problem.plan->operands[i].kind != Operand::Kind::constant)
      dtypes.push_back(name(problem.signature.dtypes.at(i)));
  return dtypes;
}

}  // namespace

const char* name(Trial::Outcome outcome) {
  switch (outcome) {
  case Trial::Outcome::pruned:
    return "pruned";
  case Trial::Outcome::spills:
    return "spills";
  case Trial::Outcome::rejected:
    return "rejected";
  case Trial::Outcome::slower:
    return "slower";
  case Trial::Outcome::finalist:
    return "finalist";
  case Trial::Outcome::winner:
    return "winner";
  }
  return "unknown";
}

Bucket bucketOf(const Shape& shape) {
  auto log2 = [](std::int64_t n) { return n < 1 ? 0 : int(std::bit_width(std::uint64_t(n))) - 1; };
  return {log2(shape.tokens), log2(shape.batch * shape.heads)};
}

int distance(const Bucket& a, const Bucket& b) {
  return std::abs(a.tokens - b.tokens) + std::abs(a.batchHeads - b.batchHeads);
}

std::string problemKey(const Problem& problem) {
  json key = {{"plan", meaningOf(*problem.plan)},
              {"family", name(problem.family)},
              {"compute", name(problem.signature.compute)},
              {"dtypes", dtypesOf(problem)},
              {"dims", problem.signature.dims}};
  if (problem.signature.pairedHeads)
    key["pairedHeads"] = true;
  return sha256Hex(key.dump());
}

std::string sourceDigest(const KernelSource& kernel) {
  std::string text;
  for (std::size_t begin = 0; begin < kernel.text.size();) {
    std::size_t end = kernel.text.find('\n', begin);
    end = end == std::string::npos ? kernel.text.size() : end + 1;
    if (kernel.text.compare(begin, 6, "#line ") != 0)
      text.append(kernel.text, begin, end - begin);
    begin = end;
  }
  return sha256Hex(text);
}

std::string gpuKey(const DeviceInfo& gpu) {
  std::string key;
  for (char c : gpu.name)
    if (std::isalnum(static_cast<unsigned char>(c)))
      key += char(std::tolower(static_cast<unsigned char>(c)));
    else if (!key.empty() && key.back() != '-')
      key += '-';
  return key + "-" + std::to_string(gpu.limits.multiprocessors);
}

json recordOf(const Problem& problem, const DeviceInfo& gpu, const Trial& winner) {
  return {{"key", problemKey(problem)},
          {"bucket", bucketOf(problem.shape)},
          {"variant", problem.plan->variant},
          {"family", name(problem.family)},
          {"compute", name(problem.signature.compute)},
          {"dtypes", dtypesOf(problem)},
          {"dims", problem.signature.dims},
          {"shape",
           {{"batch", problem.shape.batch},
            {"tokens", problem.shape.tokens},
            {"heads", problem.shape.heads}}},
          {"driver", gpu.driverVersion},
          {"winner", winner}};
}

void to_json(json& out, const Bucket& bucket) {
  out = {{"tokens", bucket.tokens}, {"batchHeads", bucket.batchHeads}};
}

void from_json(const json& in, Bucket& bucket) {
  in.at("tokens").get_to(bucket.tokens);
  in.at("batchHeads").get_to(bucket.batchHeads);
}

void to_json(json& out, const Tile& tile) {
  static_assert(sizeof(Tile) == 8 * sizeof(int), "a number of Tile is not written");
  out = {{"chunk", tile.chunk},     {"block", tile.block},      {"blockV", tile.blockV},
         {"stages", tile.stages},   {"splitK", tile.splitK},    {"columns", tile.columns},
         {"form", name(tile.form)}, {"segments", tile.segments}};
}

void from_json(const json& in, Tile& tile) {
  in.at("chunk").get_to(tile.chunk);
  in.at("block").get_to(tile.block);
  in.at("blockV").get_to(tile.blockV);
  in.at("stages").get_to(tile.stages);
  in.at("splitK").get_to(tile.splitK);
  in.at("columns").get_to(tile.columns);
  // Records of before there were forms and segments have none.
  tile.segments = in.value("segments", 0);
  tile.form = formNamed(in.value("form", name(Form::portable)));
}

void to_json(json& out, const Trial& trial) {
  out = {{"tile", trial.tile},   {"outcome", name(trial.outcome)},
         {"error", trial.error}, {"microseconds", trial.microseconds},
         {"mad", trial.mad},     {"source", trial.source}};
  if (!trial.reason.empty())
    out["reason"] = trial.reason;
}

void from_json(const json& in, Trial& trial) {
  in.at("tile").get_to(trial.tile);
  in.at("microseconds").get_to(trial.microseconds);
  in.at("mad").get_to(trial.mad);
  in.at("source").get_to(trial.source);
  trial.error = in.at("error").is_null() ? 0 : in.at("error").get<double>();
  trial.reason = in.value("reason", "");
  const auto outcome = in.at("outcome").get<std::string>();
  for (Trial::Outcome known : outcomes)
    if (outcome == name(known)) {
      trial.outcome = known;
      return;
    }
  throw std::invalid_argument("'" + outcome + "' is no outcome of a trial");
}

}  // namespace lathe
