#include "tools/lathe/FormulaChunk.h"

namespace lathe::tool {

using reference::Instruction;

ChunkReader::ChunkReader(const reference::Program& program, Terms& terms)
    : terms(terms), isDecay(program.values.size()) {
  for (const Instruction& instruction : program.instructions) {
    const std::vector<int>& args = instruction.args;
    if (instruction.kind == Instruction::Kind::cumulate)
      isDecay[args[0]] = true;
    const bool isScored = instruction.kind == Instruction::Kind::scores ||
                          instruction.kind == Instruction::Kind::apply;
    if (isScored && args.size() > 2)
      isDecay[args[2]] = true;
    if (instruction.kind != Instruction::Kind::solve)
      continue;
    const std::size_t count = instruction.results.size();
    if (args.size() > count * (count + 1))
      isDecay[args.back()] = true;
  }
}

int ChunkReader::total(int arg, int term) {
  return isDecay[arg] ? terms.at(running(term), terms.last) : terms.tokenSum(term, "");
}

void ChunkReader::read(const Instruction& instruction, std::vector<int>& values) {
  std::vector<int> args;
  for (int arg : instruction.args)
    args.push_back(values[arg]);
  int& value = values[instruction.results[0]];
  switch (instruction.kind) {
  case Instruction::Kind::cumulate:
    value = cumulate(instruction, args[0]);
    return;
  case Instruction::Kind::runningMax:
    value = runningMax(instruction, args);
    return;
  case Instruction::Kind::scores:
    value = scores(instruction, args);
    return;
  case Instruction::Kind::apply:
    value = apply(instruction, args);
    return;
  default:
    solve(instruction, values);
  }
}

int ChunkReader::running(int logDecay) {
  const Term& decay = terms[logDecay];
  if (decay.kind == Term::Kind::number && decay.number == 0)
    return logDecay;
  std::vector<std::string> dims = decay.dims;
  if (!decay.has("token"))
    dims.insert(dims.begin(), "token");
  const int sum = terms.series("G", {logDecay}, "", std::move(dims));
  if (!terms.isDefined(sum))
    terms.define(sum, terms.tokenSum(terms.at(logDecay, terms.j), terms.j + " <= " + terms.i));
  return sum;
}

int ChunkReader::cumulate(const Instruction& instruction, int term) {
  const int sum = running(term), previous = terms.at(sum, before(terms.i));
  if (!instruction.reverse)
    return instruction.exclusive ? previous : sum;
  return terms.subtract(terms.at(sum, terms.last), instruction.exclusive ? sum : previous);
}

int ChunkReader::runningMax(const Instruction& instruction, const std::vector<int>& args) {
  const Term state = terms[args[0]];
  if (state.place.starts_with("t")) {
    const int updated = terms.call("max", {terms.add(args[0], args[1]), args[2]});
    return instruction.exclusive ? args[0] : updated;
  }
  std::vector<std::string> dims = state.dims;
  dims.insert(dims.begin(), "token");
  const int series = terms.series(state.name, {args[1], args[2]}, "", dims);
  terms.fix(series, state.name);
  const int previous = terms.at(series, instruction.reverse ? terms.i + "+1" : before(terms.i));
  if (!terms.isDefined(series))
    terms.define(series, terms.call("max", {terms.add(previous, args[1]), args[2]}));
  return instruction.exclusive ? previous : series;
}

std::string ChunkReader::condition(Order order) const {
  const char* sign = order.reverse != order.transposed ? " >" : " <";
  return terms.j + sign + (order.strict ? " " : "= ") + terms.i;
}

int ChunkReader::kept(int logDecay, Order order) {
  if (logDecay < 0)
    return terms.number(1);
  const int sum = running(logDecay);
  const std::string& reader = order.transposed ? terms.j : terms.i;
  const std::string& writer = order.transposed ? terms.i : terms.j;
  const auto at = [&](const std::string& place) { return terms.at(sum, place); };
  if (order.reverse)
    return terms.call(
        "exp", {terms.subtract(at(before(writer)), at(order.strict ? reader : before(reader)))});
  return terms.call("exp",
                    {terms.subtract(at(order.strict ? before(reader) : reader), at(writer))});
}

int ChunkReader::scores(const Instruction& instruction, const std::vector<int>& args) {
  const Order order{instruction.strict, instruction.reverse, false};
  const int decay = args.size() > 2 ? args[2] : -1;
  int x = args[0], written = args[1];
  const double multiple = terms.coefficient(x) * terms.coefficient(written);
  const int series = terms.series("A", {x, written, decay, terms.symbol(instruction.name, {})},
                                  condition(order), {"token", "source"});
  if (!terms.isDefined(series)) {
    const int y = terms.at(written, terms.j), factor = kept(decay, order);
    const auto joined = [&](int left, int right) {
      return instruction.name.empty() ? terms.multiply(left, right)
                                      : terms.contract(left, right, instruction.name);
    };
    const bool isVector = decay >= 0 && terms[decay].has(instruction.name);
    terms.define(series, isVector ? joined(x, terms.multiply(y, factor))
                                  : terms.multiply(factor, joined(x, y)));
  }
  return terms.scaled(multiple, series);
}

int ChunkReader::product(int weights, int logDecay, int values, Order order) {
  const double multiple = terms.coefficient(weights);
  if (order.transposed)
    weights = terms.at(weights, terms.j + "," + terms.i);
  const int factor = terms.multiply(kept(logDecay, order), weights);
  return terms.scaled(multiple, terms.multiply(factor, terms.at(values, terms.j)));
}

int ChunkReader::apply(const Instruction& instruction, const std::vector<int>& args) {
  int series = args[0];
  terms.coefficient(series);
  const bool isStrict = instruction.strict || (terms[series].kind == Term::Kind::series &&
                                               terms[series].place.find('=') == std::string::npos);
  const int decay = args.size() > 2 ? args[2] : -1;
  Order order{instruction.strict, instruction.reverse, instruction.transposed};
  const int term = product(args[0], decay, args[1], order);
  order.strict = isStrict;
  return terms.tokenSum(term, condition(order));
}

void ChunkReader::solve(const Instruction& instruction, std::vector<int>& values) {
  const std::size_t count = instruction.results.size();
  std::vector<int> args;
  for (int arg : instruction.args)
    args.push_back(values[arg]);
  const int decay = args.size() > count * (count + 1) ? args.back() : -1;
  const Order order{true, instruction.reverse, instruction.transposed};
  for (std::size_t block = 0; block < count * count; ++block) {
    int series = args[count + block];
    terms.coefficient(series);
    terms.rename(series, "L");
  }
  std::vector<int> solved;
  for (std::size_t r = 0; r < count; ++r) {
    std::vector<int> key = args;
    key.push_back(terms.number(double(r)));
    solved.push_back(terms.series("W", key, "", terms[args[r]].dims));
    values[instruction.results[r]] = solved.back();
  }
  if (terms.isDefined(solved[0]))
    return;
  if (count == 1 && decay < 0 && !order.transposed) {
    const int right = terms.series("R", {args[0]}, "", terms[args[0]].dims);
    if (!terms.isDefined(right))
      terms.define(right, args[0]);
    terms.define(solved[0], terms.inverse(args[1], right));
    return;
  }
  for (std::size_t r = 0; r < count; ++r) {
    int sum = args[r];
    for (std::size_t s = 0; s < count; ++s) {
      const int block = args[count + (order.transposed ? s * count + r : r * count + s)];
      sum =
          terms.add(sum, terms.tokenSum(product(block, decay, solved[s], order), condition(order)));
    }
    terms.define(solved[r], sum);
  }
}

}  // namespace lathe::tool
