// A pass: once over the registers of the states of one shape, for all that reads or changes them.
#include "compiler/cuda/GeneralEmitter.h"

#include <cmath>

namespace lathe::cuda {

using What = Item::What;

namespace {

/// The small values from which an expression over two dimensions is made, as they stand in it.
void addLeaves(const Items& items, int index, std::set<int>& leaves) {
  const Value& value = items.graph.values[index];
  if (items.graph.isUniform(index))
    return;
  if (!value.isWide())
    leaves.insert(index);
  else if (value.isMap() && !items.sweep.given.count(index))
    for (int arg : value.args)
      addLeaves(items, arg, leaves);
}

/// Wide values of earlier sweeps in an expression.
void addRecorded(const Items& items, int index, std::set<int>& recorded) {
  const Value& value = items.graph.values[index];
  if (!value.isWide())
    return;
  if (items.sweep.given.count(index))
    recorded.insert(index);
  else if (value.isMap())
    for (int arg : value.args)
      addRecorded(items, arg, recorded);
}

}  // namespace

/// The leaves over `dims`, of which `at` is where they are read, so that `inner` finds them as
/// names with `suffix`.
void SweepWriter::writePassLeaves(Text& text, const std::set<int>& leaves, const Dims& dims,
                                  Scope scope, const std::string& suffix, Scope& inner) {
  std::vector<int> own;
  for (int leaf : leaves)
    if (graph.values[leaf].dims == dims)
      own.push_back(leaf);
  if (own.empty())
    return;
  std::map<int, std::string> names;
  for (int leaf : own)
    if (!suffix.empty()) {
      names[leaf] = name();
      text.line("          float ", names[leaf], "[kColumns];");
    }
  if (!suffix.empty())
    std::erase_if(own, [&](int leaf) {
      const std::string place = rowOf(scope, leaf);
      if (!place.empty()) {
        text.line("          loadColumns(", names[leaf], ", ", place, ");");
        inner.known[{leaf, keyOf(inner, leaf)}] = names[leaf] + suffix;
      }
      return !place.empty();
    });
  if (own.empty())
    return;
  if (!suffix.empty()) {
    text.line("#pragma unroll");
    text.line("          for (int c = 0; c < kColumns; ++c) {");
  }
  for (int leaf : own) {
    const std::string x = value(scope, leaf);
    if (!suffix.empty())
      text.line("            ", names[leaf], suffix, " = ", x, ";");
    inner.known[{leaf, keyOf(inner, leaf)}] = suffix.empty() ? x : names[leaf] + suffix;
  }
  if (!suffix.empty())
    text.line("          }");
}

/// The address of a value's row at the columns that a thread reads; empty where it has none.
std::string SweepWriter::rowOf(const Scope& scope, int index) const {
  const Value& value = graph.values[index];
  const bool isState = value.kind == Node::Kind::state && !sweep.given.count(index);
  if (!isState && !items.isRow(index))
    return "";
  Scope first = scope;
  for (auto& [dim, place] : first.at)
    if (place == "reading + c")
      place = "reading";
  return "&" + (isState ? row(first, graph.carried.at(value.operand), 0)
                        : row(first, index, graph.carrierOf(index) >= 0));
}

/// For `tokens` tokens at a time, from r on.
void SweepWriter::writePass(Text& text, const Group& group, int tokens) {
  const std::string channel = group.space[0], column = group.space[1];
  const bool isRagged = kernel.size(channel) % kernel.tile.splitK != 0;
  const int width = kernel.held(column);
  const int perGroup = kernel.threads() / kernel.tile.splitK * kernel.tile.columns;
  const bool isCut = width % perGroup || kernel.size(column) % width;
  std::set<int> leaves, recorded;
  std::map<int, std::string> sums;
  for (int index : group.items) {
    const Item& item = items.items[index];
    const Value& value = graph.values[item.value];
    if (item.what == What::value || item.what == What::partial) {
      sums[index] = name();
      for (int arg : value.args) {
        addLeaves(items, arg, leaves);
        addRecorded(items, arg, recorded);
      }
    } else {
      addLeaves(items, item.value, leaves);
      addRecorded(items, item.value, recorded);
    }
  }
  const bool isWhole = !isCut && !isRagged;
  auto isPacked = [&](int value) {
    const Dims dims = kernel.recordDims(value);
    return isWhole && dims.size() == 2 && dims[0] == channel && dims[1] == column;
  };
  auto start = [&](What what, const std::string& length) {
    for (const auto& [index, sum] : sums)
      if (items.items[index].what == what) {
        text.line("          float ", sum, "[", length, "];");
        text.line("#pragma unroll");
        text.line("          for (int i = 0; i < ", length, "; ++i)");
        text.line("            ", sum,
                  "[i] = ", isLargest(items.items[index].value) ? literal(-INFINITY) : "0.0f", ";");
      }
  };
  Scope scope{text, {{channel, "channel"}, {column, "column + c"}}};
  if (isRagged)
    scope.limits[channel] = kernel.size(channel);
  if (isCut)
    scope.limits[column] = kernel.size(column);
  Scope reading = scope;
  reading.at[column] = "reading + c";
  text.line("        {");
  text.line("          typedef ", heldType(group.space), " H;");
  start(What::partial, "H::kLength");
  text.line("#pragma unroll");
  text.line("          for (int j = 0; j < H::kGroups; ++j) {");
  text.line("          const int column = H::column(at, j);");
  text.line("          [[maybe_unused]] const int reading = ",
            width % perGroup ? "column < " + std::to_string(width) + " ? column : 0" : "column",
            ";");
  start(What::value, std::to_string(tokens) + " * kColumns");
  if (tokens > 1) {
    text.line("          const int firstRow = r;");
    text.line("#pragma unroll");
    text.line("          for (int u = 0; u < ", tokens, "; ++u) {");
    text.line("          const int r = firstRow + u;");
    text.line("          [[maybe_unused]] const int t = at.token<",
              sweep.reverse ? "true" : "false", ">(r);");
  }
  writePassLeaves(text, leaves, {}, reading, "", scope);
  writePassLeaves(text, leaves, {column}, reading, "[c]", scope);
  text.line("#pragma unroll");
  text.line("          for (int i = 0; i < H::kLength; ++i) {");
  text.line("          [[maybe_unused]] const int channel = H::channel(at, i);");
  writePassLeaves(text, leaves, {channel}, reading, "", scope);
  for (int value : recorded)
    if (isPacked(value)) {
      const std::string own = name();
      text.line("          float ", own, "[kColumns];");
      text.line("          loadColumns(", own, ", ", recordRow(value, "channel"), ");");
      scope.known[{value, keyOf(scope, value)}] = own + "[c]";
    }
  std::map<int, std::string> kept;
  for (int index : group.items)
    if (const Item& item = items.items[index]; item.what == What::keep && isPacked(item.value)) {
      kept[index] = name();
      text.line("          float ", kept[index], "[kColumns];");
    }
  text.line("#pragma unroll");
  text.line("          for (int c = 0; c < kColumns; ++c) {");
  writePassBody(scope, group, sums, kept, tokens > 1 ? "[u * kColumns + c]" : "[c]");
  text.line("          }");
  for (const auto& [index, own] : kept)
    text.line("          storeColumns(", recordRow(items.items[index].value, "channel"), ", ", own,
              ");");
  text.line("          }");
  if (tokens > 1)
    text.line("          }");
  for (const auto& [index, sum] : sums) {
    const int value = items.items[index].value;
    if (items.items[index].what == What::value)
      text.line("          storeSums<H, ", isLargest(value) ? "true" : "false", ">(", sum, ", v",
                value, " + r * ", pitch(value), ", ", pitch(value), ", column, ", width, ", at);");
  }
  text.line("          }");
  for (const auto& [index, sum] : sums)
    if (items.items[index].what == What::partial)
      finishChannels(text, items.items[index], sum, isRagged);
  text.line("        }");
}

/// The address of a wide value's columns in the record of a token.
std::string SweepWriter::recordRow(int value, const std::string& channel) const {
  const int columns = kernel.held(kernel.recordDims(value)[1]);
  return "record(at, t) + (" + std::to_string(kernel.record.at(value)) + " + " + channel + " * " +
         std::to_string(columns) + " + column)";
}

/// What happens to one element.
void SweepWriter::writePassBody(Scope& outer, const Group& group,
                                const std::map<int, std::string>& sums,
                                const std::map<int, std::string>& kept,
                                const std::string& columnSum) {
  Scope scope = outer;
  for (int index = 0; index < int(graph.values.size()); ++index) {
    const Value& value = graph.values[index];
    if (value.kind == Node::Kind::state && value.isWide() && !sweep.given.count(index) &&
        items.columnOf(value.dims) == group.space[1] && has(value.dims, group.space[0]))
      scope.known[{index, keyOf(scope, index)}] = "s" + std::to_string(value.operand) + "[j][i][c]";
  }
  Text assignments;
  for (int index : group.items) {
    const Item& item = items.items[index];
    if (item.what == What::state) {
      const std::string x = define(scope, item.value);
      assignments.line("          s", item.operand, "[j][i][c] = ", x, ";");
    } else if (kept.count(index)) {
      const std::string x = value(scope, item.value);
      scope.text.line("          ", kept.at(index), "[c] = ", x, ";");
    } else if (item.what == What::output || item.what == What::keep) {
      writeStore(scope, item);
    } else {
      const bool largest = isLargest(item.value), perColumn = item.what == What::value;
      const std::string sum = sums.at(index) + (perColumn ? columnSum : "[i]");
      const std::string next = term(scope, item.value);
      const std::string exists = condition(scope, {group.space[perColumn ? 0 : 1]});
      scope.text.line("          ", exists.empty() ? "" : "if (" + exists + ")\n            ", sum,
                      " = combine<", largest ? "true" : "false", ">(", sum, ", ", next, ");");
    }
  }
  scope.text.append(assignments);
}

/// The sums of a thread's channels, over the lanes that share them, beside those of other warps.
void SweepWriter::finishChannels(Text& text, const Item& item, const std::string& sum,
                                 bool isRagged) {
  const int index = item.value;
  const std::string warp = item.ofAll ? "(r * kWarps + at.warp)" : "at.warp";
  const int channels = kernel.held(graph.values[index].dims);
  text.line("#pragma unroll");
  text.line("          for (int i = 0; i < H::kLength; ++i) {");
  text.line("            ", sum, "[i] = combineLanes<", isLargest(index) ? "true" : "false",
            ", H::kAcross>(", sum, "[i]);");
  text.line("            const int channel = H::channel(at, i);");
  text.line("            if (at.lane % H::kAcross == 0",
            isRagged ? " && channel < " + std::to_string(channels) : std::string(), ")");
  text.line("              p", index, "[", warp, " * ", pitch(index), " + channel] = ", sum,
            "[i];");
  text.line("          }");
}

}  // namespace lathe::cuda
