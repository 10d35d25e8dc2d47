#include "tools/lathe/ProgramCost.h"

#include <set>

namespace lathe::tool {

namespace {

using reference::Declaration;
using reference::Instruction;
using reference::Program;

class Counter {
public:
  Counter(const Program& program, const std::map<std::string, int>& sizes, int chunk)
      : program(program), sizes(sizes), tokens(program.chunked ? chunk : 1) {}

  /// Of all tokens that the program takes at a time.
  double flop(const Instruction& instruction) const {
    const int result = instruction.results[0];
    switch (instruction.kind) {
    case Instruction::Kind::map:
    case Instruction::Kind::cumulate:
    case Instruction::Kind::taylor:
      return size({result});
    case Instruction::Kind::runningMax:
      return 2 * size({result});
    case Instruction::Kind::sum:
    case Instruction::Kind::max:
      return size({instruction.args[0]});
    case Instruction::Kind::contract:
      return 2 * size({instruction.args[0], instruction.args[1]});
    case Instruction::Kind::taylorAdjoint:
      return 2 * size({instruction.args[1]});
    case Instruction::Kind::scores:
    case Instruction::Kind::apply:
      return pairs(instruction.strict) * paired(instruction);
    case Instruction::Kind::solve:
      return pairs(true) * double(instruction.results.size() * instruction.results.size()) * 2 *
             size({result}) / tokens;
    default:
      return 0;
    }
  }

private:
  /// Of the product of the spaces of values.
  double size(std::initializer_list<int> values) const {
    std::set<std::string> dims;
    for (int value : values)
      dims.insert(program.values[value].begin(), program.values[value].end());
    double product = 1;
    for (const std::string& dim : dims)
      product *= dim == "token" || dim == "source" ? tokens : sizes.at(dim);
    return product;
  }

  double pairs(bool strict) const { return tokens * (tokens + (strict ? -1 : 1)) / 2; }

  /// Of one pair of tokens: a product summed over the features, and the decay once.
  double paired(const Instruction& instruction) const {
    const int value = instruction.args[1];
    const double decay = instruction.args.size() > 2 ? size({instruction.args[2]}) / tokens : 0;
    const int other = instruction.kind == Instruction::Kind::scores ? instruction.args[0] : value;
    return 2 * size({value, other}) / tokens + decay;
  }

  const Program& program;
  const std::map<std::string, int>& sizes;
  double tokens;
};

}  // namespace

double flopOf(const Program& program, const std::map<std::string, int>& sizes, int chunk) {
  const Counter counter(program, sizes, chunk);
  double flop = 0;
  for (const Instruction& instruction : program.instructions)
    if (!instruction.perHead)
      flop += counter.flop(instruction);
  return flop / (program.chunked ? chunk : 1);
}

double bytesOf(const Program& program, const std::map<std::string, int>& sizes,
               const std::function<int(const std::string&)>& elementBytes) {
  double total = 0;
  for (const Declaration& declaration : program.declarations) {
    if (declaration.kind != Declaration::Kind::input &&
        declaration.kind != Declaration::Kind::output)
      continue;
    const bool isGradient = declaration.name.starts_with("d.");
    double size = elementBytes(isGradient ? declaration.name.substr(2) : declaration.name);
    for (const std::string& dim : declaration.dims)
      size *= sizes.at(dim);
    total += size;
  }
  return total;
}

}  // namespace lathe::tool
