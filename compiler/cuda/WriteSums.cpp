#include "compiler/cuda/TokenEmitter.h"

namespace lathe::cuda {

int TokenEmitter::level(int node) const {
  auto found = levels.find(node);
  return found == levels.end() ? 0 : found->second;
}

TokenEmitter::Factored TokenEmitter::factored(int index) const {
  const Node& node = plan.nodes[index];
  if (!scaled(index) || (node.op != Op::multiply && node.op != Op::negate))
    return {"", index};
  int base = index;
  while (scaled(base) && (plan.nodes[base].op == Op::multiply || plan.nodes[base].op == Op::negate))
    for (int arg : plan.nodes[base].args)
      if (!plan.nodes[arg].dims.empty()) {
        base = arg;
        break;
      }
  return {"factor" + std::to_string(index) + " * ", base};
}

/// All late nodes but the factored vectors that nothing needs as they stand.
std::set<int> TokenEmitter::wholeNodes() const {
  std::set<int> nodes = lateNodes(), used(roots.begin(), roots.end());
  for (auto index = nodes.rbegin(); index != nodes.rend(); ++index) {
    const Node& node = plan.nodes[*index];
    if (factored(*index).base != *index && !used.count(*index))
      continue;
    if (node.kind == Node::Kind::affine) {
      const Recurrence& r = plan.recurrences[node.affine];
      used.insert(r.logDecays.begin(), r.logDecays.end());
      for (const auto& term : r.outer) {
        used.insert(term.value);
        if (!isProduct(term))
          used.insert(term.key);
      }
    } else if (node.kind != Node::Kind::contract) {
      used.insert(node.args.begin(), node.args.end());
    }
  }
  std::erase_if(nodes, [&](int n) { return factored(n).base != n && !used.count(n); });
  return nodes;
}

bool TokenEmitter::isProduct(const Recurrence::Outer& term) const {
  return axes.isKey(plan.nodes[term.key].dims) && !hasKey(plan.nodes[term.value].dims);
}

/// The scalars of all factored vectors.
void TokenEmitter::writeFactors(Text& text) const {
  for (int index : lateNodes()) {
    if (factored(index).base == index)
      continue;
    const Node& node = plan.nodes[index];
    std::string inner, scalar;
    for (int arg : node.args)
      if (plan.nodes[arg].dims.empty())
        scalar = argument(arg);
      else if (factored(arg).base != arg)
        inner = "factor" + std::to_string(arg);
    if (node.op == Op::negate)
      scalar = inner.empty() ? "-1.0f" : "-" + inner;
    else if (!inner.empty())
      scalar += " * " + inner;
    text.line("    [[maybe_unused]] const float factor", index, " = ", scalar, ";");
  }
}

std::vector<std::string> TokenEmitter::rowDims(int affine) const {
  std::vector<std::string> rest;
  for (const std::string& dim : plan.nodes[affine].dims)
    if (dim != axes.key)
      rest.push_back(dim);
  return rest;
}

std::vector<TokenEmitter::Product> TokenEmitter::products(int affine) const {
  const Recurrence& r = plan.recurrences[plan.nodes[affine].affine];
  std::vector<Product> result;
  auto add = [&](int vector, const std::string& row) {
    auto [factor, base] = factored(vector);
    for (Product& product : result)
      if (product.base == base) {
        product.row.append(" + ").append(factor).append(row);
        return;
      }
    result.push_back({base, factor + row, rowDims(affine)});
  };
  for (size_t t = 0; t < r.rank1.size(); ++t)
    add(r.rank1[t].left,
        element("w" + std::to_string(affine) + "_" + std::to_string(t), rowDims(affine)));
  for (const auto& term : r.outer)
    if (isProduct(term))
      add(term.key, argument(term.value));
  return result;
}

/// With S' = D S + sum a u and D a factor of the channels, D_K, times one of the columns, D_V,
/// q @ S' = D_V ((q D_K) @ S) + sum (q . a) u: of sums that wait for nothing but S.
int TokenEmitter::readAhead(int contraction) const {
  const Node& node = plan.nodes[contraction];
  for (int side : {0, 1}) {
    int query = node.args[1 - side], read = node.args[side];
    const Node& state = plan.nodes[read];
    if (state.kind != Node::Kind::affine || plan.recurrences[state.affine].rank1.empty() ||
        hasValue(plan.nodes[query].dims))
      continue;
    const Recurrence& r = plan.recurrences[state.affine];
    if (std::all_of(r.outer.begin(), r.outer.end(),
                    [&](const auto& term) { return isProduct(term); }))
      return read;
  }
  return -1;
}

int TokenEmitter::decayLevel(int affine) const {
  int result = 0;
  for (int log : plan.recurrences[plan.nodes[affine].affine].logDecays)
    result = std::max(result, level(log));
  return result;
}

/// What is summed already gets one more name.
void TokenEmitter::addSum(const std::string& name, const std::string& factor, Sum sum) {
  sum.results = {{name, factor}};
  for (Sum& other : sums)
    if (other.value == sum.value && other.dims == sum.dims && other.level == sum.level &&
        other.largest == sum.largest) {
      other.results.push_back({name, factor});
      return;
    }
  sums.push_back(std::move(sum));
}

void TokenEmitter::planAffine(int index) {
  const Node& node = plan.nodes[index];
  const Recurrence& r = plan.recurrences[node.affine];
  std::string old = element("s" + std::to_string(r.state), node.dims);
  for (size_t t = 0; t < r.rank1.size(); ++t) {
    auto [factor, base] = factored(r.rank1[t].right);
    int ready = level(base);
    addSum("w" + std::to_string(index) + "_" + std::to_string(t), factor,
           {rowDims(index), false, argument(base) + " * " + old, ready, {}});
    levels[index] = std::max(levels[index], ready + 1);
  }
}

void TokenEmitter::planContraction(int index) {
  const Node& node = plan.nodes[index];
  std::string name = "n" + std::to_string(index);
  int read = readAhead(index);
  if (read < 0) {
    auto [left, a] = factored(node.args[0]);
    auto [right, b] = factored(node.args[1]);
    addSum(name, left + right,
           {node.dims, false, argument(a) + " * " + argument(b), levels[index]++, {}});
    return;
  }
  const Recurrence& r = plan.recurrences[plan.nodes[read].affine];
  auto [factor, query] = factored(node.args[0] == read ? node.args[1] : node.args[0]);
  int ready = std::max(level(query), decayLevel(read));
  std::string old = element("s" + std::to_string(r.state), plan.nodes[read].dims);
  addSum(
      name + "_s", factor,
      {node.dims, false, argument(query) + " * " + decayOver(read, true).factor + old, ready, {}});
  for (const Product& product : products(read)) {
    int both = std::max(level(query), level(product.base));
    addSum(name + "_" + std::to_string(product.base), factor,
           {{}, false, argument(query) + " * " + argument(product.base), both, {}});
    ready = std::max(ready, both);
  }
  levels[index] = std::max(levels[index], ready + 1);
}

void TokenEmitter::planSums() {
  for (int index : lateNodes()) {
    const Node& node = plan.nodes[index];
    levels[index] = 0;
    for (int arg : argumentsOf(index))
      levels[index] = std::max(levels[index], level(arg));
    if (node.kind == Node::Kind::affine)
      planAffine(index);
    else if (node.kind == Node::Kind::contract)
      planContraction(index);
    else if (node.kind == Node::Kind::sum || node.kind == Node::Kind::max)
      addSum(
          "n" + std::to_string(index), "",
          {node.dims, node.kind == Node::Kind::max, argument(node.args[0]), levels[index]++, {}});
  }
  for (const Sum& sum : sums)
    sumPacks = std::max(sumPacks, (sumWidth(sum.level, sum.largest) + 3) / 4);
}

int TokenEmitter::sumWidth(int level, bool largest) const {
  int width = 0;
  for (const Sum& sum : sums)
    if (sum.level == level && sum.largest == largest)
      width += hasValue(sum.dims) ? tile.columns : 1;
  return width;
}

void TokenEmitter::writeSums(Text& text, int level, bool largest) const {
  int width = sumWidth(level, largest), first = 0;
  if (width == 0)
    return;
  std::string all = (largest ? "max" : "sum") + std::to_string(level);
  text.line("    float ", all, "[", width, "];");
  Text results;
  for (const Sum& sum : sums) {
    if (sum.level != level || sum.largest != largest)
      continue;
    bool spread = hasValue(sum.dims);
    std::string place = all + "[" + std::to_string(first) + (spread ? " + c]" : "]");
    if (spread)
      text.line("#pragma unroll\n    for (int c = 0; c < kColumns; ++c) {");
    writeReduction(text, largest, place, sum.value, "channels.inside(i)", "kLength");
    if (spread)
      text.line("    }");
    for (const auto& [name, factor] : sum.results) {
      declare(results, name, sum.dims);
      loops(results, sum.dims);
      results.line("      ", element(name, sum.dims), " = ", factor, place, ";");
    }
    first += spread ? tile.columns : 1;
  }
  text.line("    combineOverSplit<Variant, ", largest ? "true" : "false", ">(", all,
            ", shared, turn);");
  text.append(results);
}

}  // namespace lathe::cuda
