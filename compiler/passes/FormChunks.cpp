// From a token to a chunk of C tokens: every value of a token becomes one for each token of the
// chunk, and what is read from a state becomes a read of the state at the chunk's start plus what
// the tokens of the chunk wrote (ChunkState.h).
#include "compiler/passes/ChunkState.h"
#include "compiler/passes/Passes.h"
#include "mlir/IR/IRMapping.h"

#include <map>

using namespace mlir;

namespace lathe {

#define GEN_PASS_DEF_FORMCHUNKS
#include "compiler/passes/Passes.h.inc"

namespace {

/// Builds the chunk form of a variant at the end of another block.
class ChunkBuilder {
public:
  ChunkBuilder(VariantOp source, VariantOp target)
      : source(source), builder(target, OpBuilder::atBlockEnd(&target.getBody().front())) {}

  /// False, with a remark, where the variant has no chunk form.
  bool run() {
    for (Operation& op : source.getBody().front()) {
      builder.setLoc(op.getLoc());
      if (llvm::isa<InputOp, ParamOp, ConstantOp>(op)) {
        if (!convert(op.getResult(0)))
          return false;
      } else if (auto state = llvm::dyn_cast<StateOp>(op)) {
        initials[state] = builder.clone(op)->getResult(0);
      } else if (auto output = llvm::dyn_cast<OutputOp>(op)) {
        const Value value = convert(output.getValue(), output);
        if (!value)
          return false;
        builder.setLoc(op.getLoc());
        builder.create<OutputOp>(op.getLoc(), output.getNameAttr(),
                                 ChunkReader::perToken(builder, value), output.getStoredAttr());
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

  Value perToken(Value value) { return ChunkReader::perToken(builder, value); }

  /// The state that a value of the token form is, old or new; null for any other value.
  static StateOp stateOf(Value value) {
    if (auto affine = value.getDefiningOp<AffineOp>())
      return affine.getState().getDefiningOp<StateOp>();
    if (auto running = value.getDefiningOp<RunningMaxOp>())
      return running.getState().getDefiningOp<StateOp>();
    return value.getDefiningOp<StateOp>();
  }

  RunningMaxOp stabiliserOf(StateOp state) {
    return source.findUpdate(state.getName()).getValue().getDefiningOp<RunningMaxOp>();
  }

  /// The chunk's version of a value of the token form, for whoever reads it; null where there is
  /// none.
  Value convert(Value value, Operation* reader = nullptr) {
    if (const Value known = values.lookupOrNull(value))
      return known;
    const Value converted = stateOf(value)
                                ? convertState(value, reader ? reader : value.getDefiningOp())
                                : convertOp(value);
    if (converted)
      values.map(value, converted);
    return converted;
  }

  Value convertOp(Value value) {
    Operation* op = value.getDefiningOp();
    if (auto contract = llvm::dyn_cast<ContractOp>(op))
      for (const auto& [state, query] : {std::pair{contract.getLhs(), contract.getRhs()},
                                         std::pair{contract.getRhs(), contract.getLhs()}})
        if (stateOf(state) && typeOf(state).has(contract.getDim()) && !stateOf(query))
          return convertRead(contract, state, query);
    IRMapping operands;
    for (Value operand : op->getOperands()) {
      const Value converted = convert(operand, op);
      if (!converted)
        return nullptr;
      operands.map(operand, converted);
    }
    builder.setLoc(op->getLoc());
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

  /// A state itself, for every token of the chunk.
  Value convertState(Value value, Operation* reader) {
    StateOp state = stateOf(value);
    const bool before = value == state.getResult();
    if (typeOf(state).getDims().size() > 1)
      return refuse(reader,
                    "the state " + state.getName() + " is used other than by a contraction");
    if (RunningMaxOp running = stabiliserOf(state))
      return convertStabiliser(running, state, before);
    const ChunkState* chunk = chunkStateOf(state, reader);
    if (!chunk)
      return nullptr;
    builder.setLoc(reader->getLoc());
    return ChunkReader(builder, *chunk).whole(before);
  }

  Value convertStabiliser(RunningMaxOp running, StateOp state, bool before) {
    const Value decay = convert(running.getDecay()), input = convert(running.getInput());
    if (!decay || !input)
      return nullptr;
    builder.setLoc(running.getLoc());
    const Value initial = initials[state], decays = perToken(decay), inputs = perToken(input);
    return builder.create<RunningMaxOp>(builder.loc(), builder.unite({initial, decays, inputs}),
                                        initial, decays, inputs, flag(before),
                                        flag(state.getReverse()));
  }

  UnitAttr flag(bool set) { return set ? builder.getUnitAttr() : UnitAttr(); }

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
    chunk.keyDim = affine.keyDim().str();
    chunk.valueDim = affine.valueDim().str();
    chunk.reverse = state.getReverse();
    chunk.initial = initials[state];
    if (!convertDecays(chunk, affine) || !convertWrites(chunk, affine))
      return nullptr;
    chunk.ready = true;
    return &chunk;
  }

  bool convertDecays(ChunkState& chunk, AffineOp affine) {
    for (Value decay : affine.getDecays()) {
      const Value converted = convert(decay);
      if (!converted)
        return false;
      builder.setLoc(affine.getLoc());
      const bool isOverValue = !chunk.valueDim.empty() && typeOf(decay).has(chunk.valueDim);
      Value& sum = isOverValue ? chunk.valueDecay : chunk.keyDecay;
      sum = perToken(sum ? builder.map(Op::add, {sum, converted}) : converted);
    }
    return true;
  }

  /// What the outer products write, then what the rank-1 terms write back.
  bool convertWrites(ChunkState& chunk, AffineOp affine) {
    llvm::SmallVector<Value> keys, written, lefts, rights;
    const auto all = [&](OperandRange from, llvm::SmallVector<Value>& to) {
      for (Value value : from)
        if (const Value converted = convert(value))
          to.push_back(perToken(converted));
      return to.size() == from.size();
    };
    if (!all(affine.getKeys(), keys) || !all(affine.getValues(), written) ||
        !all(affine.getLefts(), lefts) || !all(affine.getRights(), rights))
      return false;
    for (const auto& [key, value] : llvm::zip(keys, written))
      chunk.writes.emplace_back(key, value);
    if (lefts.empty())
      return true;
    builder.setLoc(affine.getLoc());
    const llvm::SmallVector<Value> rows = ChunkReader(builder, chunk).solve(lefts, rights);
    for (const auto& [left, row] : llvm::zip(lefts, rows))
      chunk.writes.emplace_back(left, row);
    return true;
  }

  Value convertRead(ContractOp op, Value state, Value query) {
    StateOp declared = stateOf(state);
    const ChunkState* chunk = chunkStateOf(declared, op);
    if (!chunk)
      return nullptr;
    for (StringAttr dim : typeOf(query).getDims())
      if (dim.getValue() != op.getDim())
        return refuse(op, "the state " + declared.getName() + " is read with a query over " +
                              typeOf(query).str());
    const Value converted = convert(query);
    if (!converted)
      return nullptr;
    builder.setLoc(op.getLoc());
    return ChunkReader(builder, *chunk)
        .read(perToken(converted), op.getDim(), state == declared.getResult());
  }

  Value finalState(UpdateOp update) {
    StateOp state = source.findState(update.getName());
    if (RunningMaxOp running = stabiliserOf(state))
      return finalStabiliser(running, state);
    const ChunkState* chunk = chunkStateOf(state, update);
    if (!chunk)
      return nullptr;
    builder.setLoc(update.getLoc());
    return ChunkReader(builder, *chunk).final();
  }

  /// The largest of the initial value and of every input, each decayed to the chunk's end.
  Value finalStabiliser(RunningMaxOp running, StateOp state) {
    const Value decays = perToken(convert(running.getDecay()));
    const Value inputs = perToken(convert(running.getInput()));
    builder.setLoc(running.getLoc());
    const Value after = builder.create<CumulateOp>(
        builder.loc(), decays.getType(), decays, builder.getUnitAttr(), flag(!state.getReverse()));
    const Value newest = builder.max(builder.map(Op::add, {inputs, after}), tokenDim);
    const Value oldest = builder.map(Op::add, {initials[state], builder.sum(decays, tokenDim)});
    return builder.map(Op::maximum, {oldest, newest});
  }

  VariantOp source;
  TokenBuilder builder;
  IRMapping values;
  llvm::DenseMap<Operation*, Value> initials;  ///< The states at the chunk's start.
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
