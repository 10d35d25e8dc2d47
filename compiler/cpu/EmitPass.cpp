// A fused pass over values of two or more dimensions: blocks of columns, rows within them, outer
// dimensions around both. The sums over rows stay in registers for a block; a sum over columns is a
// vector for each row until the end of the pass, when all are added up at once.
#include "compiler/cpu/Emitter.h"

#include <algorithm>

using namespace mlir;

namespace lathe::cpu {

namespace {

bool isMaximum(const reference::Instruction& instruction) {
  return instruction.kind == reference::Instruction::Kind::max;
}

long roundUp(long count, long unit) { return (count + unit - 1) / unit * unit; }

/// Vectors of a row that are at work at once. More of them hide the latency of the sums; each sum
/// over rows takes a register for each.
int widthOf(std::size_t rowSums, long vectors) {
  const long width = rowSums <= 1 ? 8 : rowSums <= 3 ? 4 : 2;
  return static_cast<int>(std::min(width, vectors));
}

}  // namespace

/// Where the vectors of one reduction over columns begin; the space of them all for a number past
/// the last.
long Emitter::partialOffset(const Pass& pass, std::size_t reduction) const {
  const std::string& rows = pass.space[pass.space.size() - 2];
  const long each = roundUp(emission.memory->sizes.at(rows), code.lanes) * code.lanes;
  return each * static_cast<long>(reduction);
}

void Emitter::emitPass(const Pass& pass) {
  const std::string& rows = pass.space[pass.space.size() - 2];
  for (int value : pass.reductions) {
    const std::string& over = definition(value).name;
    if (over == rows || over == pass.space.back())
      continue;
    const Value base = baseOf(value), none = identity(isMaximum(definition(value)));
    code.loop(code.integer(0), code.integer(layoutOf(value).count / code.lanes), {},
              [&](Value i, const Values&) {
                code.store(none, code.address(base, code.index(code.integer(0), i, code.lanes)));
                return Values();
              });
  }
  const std::function<void(std::size_t, Element&)> descend = [&](std::size_t depth, Element& at) {
    if (depth + 2 == pass.space.size()) {
      emitColumns(pass, at);
      return;
    }
    const long size = emission.memory->sizes.at(pass.space[depth]);
    code.loop(code.integer(0), code.integer(size), {}, [&](Value i, const Values&) {
      Element inner = at;
      inner.index[pass.space[depth]] = i;
      descend(depth + 1, inner);
      return Values();
    });
  };
  Element at;
  at.column = pass.space.back();
  descend(0, at);
}

void Emitter::emitColumns(const Pass& pass, Element& outer) {
  const std::string& rows = pass.space[pass.space.size() - 2];
  const long columns = emission.memory->sizes.at(outer.column);
  std::size_t rowSums = 0;
  for (std::size_t i = 0; i < pass.reductions.size(); ++i) {
    const reference::Instruction& reduction = definition(pass.reductions[i]);
    rowSums += reduction.name == rows ? 1 : 0;
    if (reduction.name != outer.column)
      continue;
    const Value base = code.address(scratch, code.integer(partials + partialOffset(pass, i)));
    code.loop(code.integer(0), code.integer(emission.memory->sizes.at(rows)), {},
              [&](Value row, const Values&) {
                code.store(identity(isMaximum(reduction)),
                           code.address(base, code.index(code.integer(0), row, code.lanes)));
                return Values();
              });
  }
  const int width = widthOf(rowSums, roundUp(columns, code.lanes) / code.lanes);
  const long block = static_cast<long>(width) * code.lanes;
  const long whole = columns / block;
  if (whole == 1)
    emitColumnBlock(pass, outer, code.integer(0), width, code.lanes);
  else if (whole > 1)
    code.loop(code.integer(0), code.integer(whole), {}, [&](Value i, const Values&) {
      emitColumnBlock(pass, outer, code.multiply(i, code.integer(block)), width, code.lanes);
      return Values();
    });
  if (const long rest = columns - whole * block; rest > 0) {
    const auto vectors = static_cast<int>(roundUp(rest, code.lanes) / code.lanes);
    const auto tail = static_cast<int>(rest - static_cast<long>(vectors - 1) * code.lanes);
    emitColumnBlock(pass, outer, code.integer(whole * block), vectors, tail);
  }
  finishRowSums(pass, outer);
}

/// Loads what is the same for all rows, so that it stays in registers.
void Emitter::preload(int value, Element& at) {
  const Dims& own = dims(value);
  const bool isFixed = std::all_of(own.begin(), own.end(), [&](const std::string& dim) {
    return dim == at.column || at.index.contains(dim);
  });
  if (isFixed) {
    for (int i = 0; i < static_cast<int>(at.starts.size()); ++i)
      vector(value, at, i);
    return;
  }
  if (emission.schedule->isInline[value])
    for (int arg : definition(value).args)
      preload(arg, at);
}

/// `vectors` vectors of every row, of whose last the first `tail` elements are there.
void Emitter::emitColumnBlock(const Pass& pass, Element outer, Value start, int vectors, int tail) {
  const std::string& rows = pass.space[pass.space.size() - 2];
  outer.starts.clear();
  for (int i = 0; i < vectors; ++i)
    outer.starts.push_back(code.add(start, code.integer(static_cast<long>(i) * code.lanes)));
  Values sums;
  for (int value : pass.reductions) {
    for (int arg : definition(value).args)
      preload(arg, outer);
    if (definition(value).name == rows)
      sums.append(vectors, identity(isMaximum(definition(value))));
  }
  for (int value : pass.fills)
    preload(value, outer);
  for (int state : pass.updates)
    preload(declared(state).value, outer);

  const Value count = code.integer(emission.memory->sizes.at(rows));
  sums = code.loop(code.integer(0), count, sums, [&](Value row, const Values& carried) {
    Element at = outer;
    at.index[rows] = row;
    Values next;
    emitRow(pass, at, tail, carried, next);
    emitStores(pass, at);
    return next;
  });
  std::size_t next = 0;
  for (int value : pass.reductions)
    if (definition(value).name == rows)
      for (int i = 0; i < vectors; ++i)
        code.store(sums[next++], addressOf(value, outer, i));
}

void Emitter::emitRow(const Pass& pass, Element& at, int tail, const Values& sums, Values& next) {
  const std::string& rows = pass.space[pass.space.size() - 2];
  const auto vectors = static_cast<int>(at.starts.size());
  for (std::size_t n = 0; n < pass.reductions.size(); ++n) {
    const int value = pass.reductions[n];
    const reference::Instruction& reduction = definition(value);
    const bool isMax = isMaximum(reduction);
    if (reduction.name == rows) {
      for (int i = 0; i < vectors; ++i)
        next.push_back(accumulate(sums[next.size()], term(reduction, at, i), isMax));
    } else if (reduction.name == at.column) {
      const Value base = code.address(scratch, code.integer(partials + partialOffset(pass, n)));
      const Value place =
          code.address(base, code.index(code.integer(0), at.index.at(rows), code.lanes));
      Value sum = code.load(place, code.vector);
      for (int i = 0; i < vectors; ++i)
        sum = accumulate(sum,
                         code.firstLanes(term(reduction, at, i),
                                         i + 1 < vectors ? code.lanes : tail, identity(isMax)),
                         isMax);
      code.store(sum, place);
    } else {
      for (int i = 0; i < vectors; ++i) {
        const Value place = addressOf(value, at, i);
        code.store(accumulate(code.load(place, code.vector), term(reduction, at, i), isMax), place);
      }
    }
  }
}

/// All is read before anything is stored: states may read each other.
void Emitter::emitStores(const Pass& pass, Element& at) {
  const auto vectors = static_cast<int>(at.starts.size());
  std::vector<std::pair<Value, Value>> stores;
  for (int value : pass.fills) {
    const Value base = code.address(scratch, code.integer(bufferOf[value]));
    const Layout layout = layoutOf(value);
    for (int i = 0; i < vectors; ++i) {
      Value index = at.starts[i];
      for (std::size_t dim = 0; dim + 1 < layout.dims.size(); ++dim)
        index = code.index(index, at.index.at(layout.dims[dim]), layout.strides[dim]);
      Value filled;
      if (definition(value).perHead) {
        Values args;
        for (int arg : definition(value).args)
          args.push_back(vector(arg, at, i));
        filled = apply(definition(value), args);
      } else {
        filled = vector(value, at, i);
      }
      stores.emplace_back(filled, code.address(base, index));
    }
  }
  for (int state : pass.updates) {
    const int value = declared(state).value;
    const Layout layout = layoutOf(value);
    for (int i = 0; i < vectors; ++i) {
      Value index = at.starts[i];
      for (std::size_t dim = 0; dim + 1 < layout.dims.size(); ++dim)
        index = code.index(index, at.index.at(layout.dims[dim]), layout.strides[dim]);
      stores.emplace_back(vector(value, at, i), code.address(newStates.at(state), index));
    }
  }
  for (const auto& [value, address] : stores)
    code.store(value, address);
}

/// The vectors of the rows, a square of them at a time.
void Emitter::finishRowSums(const Pass& pass, Element& outer) {
  const std::string& rows = pass.space[pass.space.size() - 2];
  const long groups = roundUp(emission.memory->sizes.at(rows), code.lanes) / code.lanes;
  for (std::size_t n = 0; n < pass.reductions.size(); ++n) {
    const int value = pass.reductions[n];
    const reference::Instruction& reduction = definition(value);
    if (reduction.name != outer.column)
      continue;
    const Value base = code.address(scratch, code.integer(partials + partialOffset(pass, n)));
    code.loop(code.integer(0), code.integer(groups), {}, [&](Value group, const Values&) {
      const Value row = code.multiply(group, code.integer(code.lanes));
      Values vectors;
      for (int i = 0; i < code.lanes; ++i)
        vectors.push_back(
            code.load(code.address(base, code.index(code.integer(0), code.add(row, code.integer(i)),
                                                    code.lanes)),
                      code.vector));
      Element at = outer;
      at.index[rows] = row;
      code.store(code.reduceRows(vectors, isMaximum(reduction)), addressOf(value, at, -1));
      return Values();
    });
  }
}

}  // namespace lathe::cpu
