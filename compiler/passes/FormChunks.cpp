// From a token to a chunk of C tokens (Yang et al. 2023, section 4; Yang et al. 2024,
// "Parallelizing linear transformers with the delta rule"). With G the running sum of the
// log-decays, S_0 the state at the chunk's start and [x_i, y_j] = sum_d x_id y_jd exp(G_id - G_jd):
//
//   w^r_i = (b^r_i e^{G_{i-1}}) @ S_0 + sum_s sum_{j<i} [b^r_i, a^s_j] w^s_j + sum_s sum_{j<i}
//   [b^r_i, x^s_j] y^s_j q_i @ S_i = (q_i e^{G_i}) @ S_0 + the same two sums over j <= i S_C =
//   e^{G_C} S_0 + sum_j (x_j e^{G_C - G_j}) y_j + sum_j (a_j e^{G_C - G_j}) w_j
//
// where what reads before the update of token i, as b does, sees G_{i-1} and j < i.
#include "compiler/dialect/Build.h"
#include "compiler/passes/Passes.h"
#include "mlir/IR/IRMapping.h"

#include <map>

using namespace mlir;

namespace lathe {

#define GEN_PASS_DEF_FORMCHUNKS
#include "compiler/passes/Passes.h.inc"

namespace {

/// What one state is made of in a chunk.
struct ChunkState {
  Value initial;  ///< At the chunk's start.
  Value decay;    ///< The log-decay of each token; null for none.
  std::string keyDim;
  llvm::SmallVector<std::pair<Value, Value>> writes;  ///< Keys and values that each token adds.
  bool ready = false;  ///< False while its own operands are being built.
};

/// Builds the chunk form of a variant at the end of another block.
class ChunkBuilder {
public:
  ChunkBuilder(VariantOp source, VariantOp target)
      : source(source), builder(target, OpBuilder::atBlockEnd(&target.getBody().front())) {}

  /// False, with a remark, where the variant has no chunk form.
  bool run() {
    for (Operation& op : source.getBody().front()) {
      builder.setLoc(op.getLoc());
      if (llvm::isa<InputOp, ParamOp, ConstantOp, StateOp>(op)) {
        if (!convert(op.getResult(0)))
          return false;
      } else if (auto output = llvm::dyn_cast<OutputOp>(op)) {
        const Value value = convert(output.getValue());
        if (!value)
          return false;
        builder.setLoc(op.getLoc());
        builder.create<OutputOp>(op.getLoc(), output.getNameAttr(), perToken(value),
                                 output.getStoredAttr());
      }
    }
    for (UpdateOp update : source.getBody().getOps<UpdateOp>()) {
      const Value value = finalState(update);
      if (!value)
        return false;
      builder.create<UpdateOp>(update.getLoc(), update.getName(), value);
    }
    return true;
  }

private:
  std::nullptr_t refuse(Operation* at, const Twine& reason) {
    at->emitRemark() << "no chunk form: " << reason << "; only the sequential form remains";
    return nullptr;
  }

  Value perToken(Value value) {
    return builder.broadcast(value, builder.variant.valueType(builder.getStringAttr(tokenDim)));
  }

  /// The state that a value of the token form is, old or new; null for any other value.
  StateOp stateOf(Value value) {
    if (auto affine = value.getDefiningOp<AffineOp>())
      return affine.getState().getDefiningOp<StateOp>();
    return value.getDefiningOp<StateOp>();
  }

  /// The chunk's version of a value of the token form; null where there is none.
  Value convert(Value value) {
    if (const Value known = values.lookupOrNull(value))
      return known;
    Operation* op = value.getDefiningOp();
    const Value converted = convert(op, value);
    if (converted)
      values.map(value, converted);
    return converted;
  }

  Value convert(Operation* op, Value value) {
    if (auto contract = llvm::dyn_cast<ContractOp>(op)) {
      for (const auto& [state, query] : {std::pair{contract.getLhs(), contract.getRhs()},
                                         std::pair{contract.getRhs(), contract.getLhs()}})
        if (stateOf(state))
          return convertRead(contract, state, query);
    }
    if (llvm::isa<AffineOp>(op))
      return refuse(op, "the state is used other than by a contraction");
    IRMapping operands;
    for (Value operand : op->getOperands()) {
      if (stateOf(operand))
        return refuse(op, "the state " + stateOf(operand).getName() +
                              " is used other than by a contraction");
      const Value converted = convert(operand);
      if (!converted)
        return nullptr;
      operands.map(operand, converted);
    }
    Operation* clone = builder.clone(*op, operands);
    llvm::SmallVector<StringAttr> names(typeOf(value).getDims());
    if (llvm::isa<InputOp, PositionOp>(op))
      names.push_back(builder.getStringAttr(tokenDim));
    for (Value operand : clone->getOperands())
      if (typeOf(operand).has(tokenDim))
        names.push_back(builder.getStringAttr(tokenDim));
    clone->getResult(0).setType(builder.variant.valueType(names));
    return clone->getResult(0);
  }

  /// Keys, values and decays of a state for every token of the chunk; null with a remark where
  /// there is no chunk form.
  ChunkState* chunkStateOf(StateOp state, Operation* reader) {
    const auto [found, isNew] = states.try_emplace(state.getName().str());
    ChunkState& chunk = found->second;
    if (!isNew) {
      if (!chunk.ready)
        return refuse(reader, "what this reads from the state " + state.getName() +
                                  " flows back into the same state");
      return &chunk;
    }
    UpdateOp update = source.findUpdate(state.getName());
    auto affine = update.getValue().getDefiningOp<AffineOp>();
    if (!affine)
      return refuse(update,
                    "the update of the state " + state.getName() + " is not in normal form");
    const ArrayRef<StringAttr> dims = typeOf(state).getDims();
    if (dims.empty())
      return refuse(state,
                    "the state " + state.getName() + " has no dimension that could be contracted");
    chunk.keyDim = dims[0].str();
    chunk.initial = convert(state);
    if (!convertDecay(chunk, affine, dims))
      return nullptr;
    for (const auto& [key, value] : llvm::zip(affine.getKeys(), affine.getValues())) {
      const Value keys = convert(key), written = convert(value);
      if (!keys || !written)
        return nullptr;
      chunk.writes.emplace_back(perToken(keys), perToken(written));
    }
    if (!affine.getLefts().empty() && !solve(chunk, affine))
      return nullptr;
    chunk.ready = true;
    return &chunk;
  }

  bool convertDecay(ChunkState& chunk, AffineOp affine, ArrayRef<StringAttr> dims) {
    for (Value decay : affine.getDecays()) {
      if (dims.size() > 1 && typeOf(decay).has(dims[1].getValue())) {
        refuse(affine, "the state decays over " + dims[1].getValue() + ", its second dimension");
        return false;
      }
      const Value converted = convert(decay);
      if (!converted)
        return false;
      builder.setLoc(affine.getLoc());
      chunk.decay = chunk.decay ? builder.map(Op::add, {chunk.decay, converted}) : converted;
    }
    if (chunk.decay)
      chunk.decay = perToken(chunk.decay);
    return true;
  }

  /// The rows w^r = b^r @ S_{t-1} of every token, which the rank-1 terms write back with a^r.
  bool solve(ChunkState& chunk, AffineOp affine) {
    llvm::SmallVector<Value> lefts, rights, rows, blocks;
    for (Value left : affine.getLefts())
      lefts.push_back(convert(left));
    for (Value right : affine.getRights())
      rights.push_back(convert(right));
    if (llvm::is_contained(lefts, Value()) || llvm::is_contained(rights, Value()))
      return false;
    builder.setLoc(affine.getLoc());
    for (Value right : rights) {
      rows.push_back(read(chunk, perToken(right), /*before=*/true));
      for (Value left : lefts)
        blocks.push_back(scores(chunk, perToken(right), perToken(left), /*before=*/true));
    }
    llvm::SmallVector<Type> types(rows.size(), rows[0].getType());
    auto solved = builder.create<SolveOp>(builder.loc(), types, rows, blocks);
    for (const auto& [left, row] : llvm::zip(lefts, solved.getResults()))
      chunk.writes.emplace_back(perToken(left), row);
    return true;
  }

  Value convertRead(ContractOp op, Value state, Value query) {
    StateOp declared = stateOf(state);
    const ChunkState* chunk = chunkStateOf(declared, op);
    if (!chunk)
      return nullptr;
    if (op.getDim() != chunk->keyDim)
      return refuse(op, "the state " + declared.getName() + " is read over " + op.getDim() +
                            ", not over its first dimension");
    for (StringAttr dim : typeOf(query).getDims())
      if (dim.getValue() != chunk->keyDim)
        return refuse(op, "the state " + declared.getName() + " is read with a query over " +
                              typeOf(query).str());
    const Value converted = convert(query);
    if (!converted)
      return nullptr;
    builder.setLoc(op.getLoc());
    return read(*chunk, perToken(converted), state == declared.getResult());
  }

  Value scores(const ChunkState& chunk, Value x, Value y, bool before) {
    const ValueType type = builder.variant.valueType(
        {builder.getStringAttr(tokenDim), builder.getStringAttr(sourceDim)});
    return builder.create<ScoresOp>(builder.loc(), type, x, y, chunk.decay,
                                    builder.getStringAttr(chunk.keyDim),
                                    before ? builder.getUnitAttr() : UnitAttr());
  }

  /// exp of the log-decays up to each token, or from each to the chunk's end; null without decay.
  Value decayed(const ChunkState& chunk, Value x, bool exclusive, bool after) {
    if (!chunk.decay)
      return x;
    const auto flag = [&](bool set) { return set ? builder.getUnitAttr() : UnitAttr(); };
    const Value sum = builder.create<CumulateOp>(builder.loc(), chunk.decay.getType(), chunk.decay,
                                                 flag(exclusive), flag(after));
    return builder.map(Op::multiply, {x, builder.map(Op::exp, sum)});
  }

  /// x_i @ S_i for every token of the chunk, or x_i @ S_{i-1}.
  Value read(const ChunkState& chunk, Value x, bool before) {
    Value sum = builder.contract(decayed(chunk, x, before, false), chunk.initial, chunk.keyDim);
    for (const auto& [key, value] : chunk.writes) {
      const Value weights = scores(chunk, x, key, before);
      const Value term = builder.create<ApplyOp>(builder.loc(), value.getType(), weights, value);
      sum = builder.map(Op::add, {sum, term});
    }
    return sum;
  }

  Value finalState(UpdateOp update) {
    StateOp state = source.findState(update.getName());
    const ChunkState* chunk = chunkStateOf(state, update);
    if (!chunk)
      return nullptr;
    builder.setLoc(update.getLoc());
    Value sum = chunk->initial;
    if (chunk->decay) {
      const Value all = builder.create<CumulateOp>(builder.loc(), chunk->decay.getType(),
                                                   chunk->decay, UnitAttr(), UnitAttr());
      const Value total =
          builder.create<LastOp>(builder.loc(), builder.unite(chunk->decay, tokenDim), all);
      sum = builder.map(Op::multiply, {builder.map(Op::exp, total), sum});
    }
    for (const auto& [key, value] : chunk->writes) {
      const Value written = builder.contract(decayed(*chunk, key, false, true), value, tokenDim);
      sum = builder.map(Op::add, {sum, written});
    }
    return sum;
  }

  VariantOp source;
  TokenBuilder builder;
  IRMapping values;
  std::map<std::string, ChunkState> states;
};

struct FormChunksPass : impl::FormChunksBase<FormChunksPass> {
  void runOnOperation() override {
    VariantOp variant = getOperation();
    if (variant.getChunked())
      return;
    OpBuilder builder(&getContext());  // The new body stands in no block while it is built.
    auto chunked = builder.create<VariantOp>(variant.getLoc(), variant.getSymNameAttr(),
                                             variant.getDimsAttr(), builder.getUnitAttr());
    chunked.getBody().emplaceBlock();
    if (ChunkBuilder(variant, chunked).run()) {
      variant.setChunked(true);
      variant.getBody().takeBody(chunked.getBody());
    }
    chunked.erase();
  }
};

}  // namespace
}  // namespace lathe
