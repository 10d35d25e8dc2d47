#include "compiler/passes/ScanGradient.h"

#include "compiler/passes/Pullback.h"
#include "compiler/passes/Slice.h"
#include "compiler/plan/Plan.h"

using namespace mlir;

namespace lathe {

namespace {

/// The gradient of one role of the scan: a row over `dim`.
struct Role {
  std::string name;  ///< Behind the variant's, in that of the part.
  Value row;
  Value dual;  ///< What it is the gradient of.
};

/// Builds the adjoint of a scan by the cumulative rule, in place.
class Adjoint {
public:
  explicit Adjoint(VariantOp variant)
      : variant(variant), builder(variant, OpBuilder::atBlockEnd(&variant.getBody().front())),
        pullback(variant, builder) {}

  /// Why there is no such adjoint; empty where it is built.
  std::string run() {
    if (const std::string reason = findScan(); !reason.empty())
      return reason;
    llvm::SmallVector<Operation*> ops;
    for (Operation& op : variant.getBody().front())
      ops.push_back(&op);
    llvm::SmallVector<OutputOp> outputs(variant.getBody().getOps<OutputOp>());
    for (OutputOp output : outputs) {
      builder.setLoc(output.getLoc());
      const Value given =
          builder.create<InputOp>(builder.loc(), output.getValue().getType(),
                                  nameOf(output.getName()), UnitAttr(), output.getStoredAttr());
      pullback.add(output.getValue(), given);
    }
    for (Operation* op : llvm::reverse(ops)) {
      builder.setLoc(op->getLoc());
      if (op == read.getOperation()) {
        if (!takeRead())
          return "what flows into the read of " + state.getName().str() + " depends on the read";
      } else if (op == affine.getOperation()) {
        takeUpdate();
      } else {
        pullback.through(*op);
      }
    }
    for (Operation* op : ops)
      collect(*op);
    for (OutputOp output : outputs)
      output.erase();
    joinSums();
    return {};
  }

  std::vector<Role> roles;

private:
  StringAttr nameOf(StringRef name) { return builder.getStringAttr(gradientName(name)); }

  std::string findScan() {
    for (StateOp own : variant.getBody().getOps<StateOp>()) {
      if (state)
        return "it has more than one state";
      state = own;
    }
    if (!state || typeOf(state).getDims().size() != 2 || state.getReverse())
      return "it has no matrix state that goes forward";
    affine = variant.findUpdate(state.getName()).getValue().getDefiningOp<AffineOp>();
    if (!affine || !affine.getLefts().empty() || affine.getKeys().size() != 1)
      return "the update of " + state.getName().str() + " is not a decay and one outer product";
    for (Value decay : affine.getDecays())
      if (!typeOf(decay).isScalar())
        return state.getName().str() + " decays over " + typeOf(decay).getDims()[0].str();
    for (Operation* user : affine->getUsers()) {
      if (llvm::isa<UpdateOp>(user))
        continue;
      auto contract = llvm::dyn_cast<ContractOp>(user);
      if (read || !contract)
        return state.getName().str() + " is read other than once by a contraction";
      read = contract;
    }
    if (!read || llvm::range_size(state->getUsers()) != 1 || read.getDim() != affine.keyDim())
      return state.getName().str() + " is not read once after its update, over its key";
    return {};
  }

  /// Whether a value is computed from the scan's state.
  static bool readsState(Value value) {
    Operation* op = value.getDefiningOp();
    return llvm::isa<StateOp>(op) ||
           llvm::any_of(op->getOperands(), [](Value operand) { return readsState(operand); });
  }

  bool takeRead() {
    flow = pullback.of(read);
    if (!flow || readsState(flow))
      return false;
    query = read.getLhs() == affine.getResult() ? read.getRhs() : read.getLhs();
    const Value row = builder.contract(flow, affine, affine.valueDim());
    pullback.add(query, row);
    roles.push_back({"query", row, query});
    return true;
  }

  /// A sum over a row is one output, however often it is taken.
  void joinSums() {
    llvm::SmallVector<ContractOp> known;
    for (ContractOp sum : llvm::make_early_inc_range(variant.getBody().getOps<ContractOp>())) {
      const auto same = llvm::find_if(known, [&](ContractOp other) {
        return other.getOperands() == sum.getOperands() && other.getDim() == sum.getDim();
      });
      if (same == known.end()) {
        known.push_back(sum);
        continue;
      }
      sum.replaceAllUsesWith(same->getResult());
      sum.erase();
    }
  }

  void takeUpdate() {
    const Value key = affine.getKeys()[0], value = affine.getValues()[0];
    const Value before =
        builder.create<StateOp>(builder.loc(), state.getType(), nameOf(state.getName()),
                                builder.getUnitAttr(), UnitAttr(), state.getStoredAttr());
    const Value written = builder.create<AffineOp>(
        builder.loc(), state.getType(), before, ValueRange(), ValueRange(), ValueRange(),
        ValueRange(query), ValueRange(flow), affine.getOverAttr());
    const Value keyRow = builder.contract(written, value, affine.valueDim());
    const Value valueRow = builder.contract(written, key, affine.keyDim());
    pullback.add(key, keyRow);
    pullback.add(value, valueRow);
    roles.push_back({"key", keyRow, key});
    roles.push_back({"value", valueRow, value});
    Value decayed = written;
    for (Value decay : affine.getDecays())
      decayed = builder.map(Op::multiply, {builder.map(Op::exp, decay), decayed});
    if (!affine.getDecays().empty())
      takeDecays();
    builder.create<UpdateOp>(builder.loc(), nameOf(state.getName()), decayed);
  }

  void takeDecays() {
    const StringAttr name = builder.getStringAttr(state.getName() + decayGradientEnd);
    const Value later = builder.create<StateOp>(builder.loc(), variant.valueType({}), name,
                                                builder.getUnitAttr(), UnitAttr(), ArrayAttr());
    const Value own = builder.map(
        Op::subtract, {productOf(roles[0], affine.keyDim()), productOf(roles[1], affine.keyDim())});
    const Value sum = builder.map(Op::add, {later, own});
    for (Value decay : affine.getDecays())
      pullback.add(decay, sum);
    builder.create<UpdateOp>(builder.loc(), name, sum);
  }

  /// The sum over `dim` of a row times its dual, whose scalar factors stay out of it.
  Value productOf(const Role& role, StringRef dim) {
    Value factor, row = role.dual;
    while (MapOp map = definingMap(row, Op::multiply)) {
      const int scalar = typeOf(map.getInputs()[0]).isScalar() ? 0 : 1;
      if (!typeOf(map.getInputs()[scalar]).isScalar())
        break;
      const Value own = map.getInputs()[scalar];
      factor = factor ? builder.map(Op::multiply, {factor, own}) : own;
      row = map.getInputs()[1 - scalar];
    }
    const Value product = builder.contract(role.row, row, dim);
    return factor ? builder.map(Op::multiply, {factor, product}) : product;
  }

  /// As derive-gradient does; consts, which few train, get none.
  void collect(Operation& op) {
    builder.setLoc(op.getLoc());
    if (auto input = llvm::dyn_cast<InputOp>(op)) {
      builder.create<OutputOp>(builder.loc(), nameOf(input.getName()), gradientOf(input),
                               input.getStoredAttr());
    } else if (auto param = llvm::dyn_cast<ParamOp>(op)) {
      const StringAttr name = nameOf(param.getName());
      const Value sum =
          builder.create<StateOp>(builder.loc(), param.getType(), name, builder.getUnitAttr(),
                                  UnitAttr(), param.getStoredAttr());
      builder.create<UpdateOp>(builder.loc(), name, builder.map(Op::add, {sum, gradientOf(param)}));
    }
  }

  Value gradientOf(Value value) {
    if (const Value gradient = pullback.of(value))
      return gradient;
    return builder.broadcast(builder.literal(0), typeOf(value));
  }

  VariantOp variant;
  TokenBuilder builder;
  Pullback pullback;
  StateOp state;
  AffineOp affine;
  ContractOp read;
  Value query, flow;  ///< flow: what flows into the read.
};

/// Cuts the adjoint into its parts.
class Cutter {
public:
  Cutter(VariantOp whole, const std::vector<Role>& roles) : whole(whole), roles(roles) {}

  /// Why it cannot be cut; empty where it is.
  std::string run(ScanGradient& gradient) {
    sums.resize(roles.size());
    rows.resize(roles.size());
    for (OutputOp output : whole.getBody().getOps<OutputOp>())
      if (std::string reason = takeOutput(output); !reason.empty())
        return reason;
    for (UpdateOp update : whole.getBody().getOps<UpdateOp>())
      if (typeOf(update.getValue()).isScalar()) {
        rest.updates.push_back(update);
        if (std::string reason = takeScalar(update.getValue()); !reason.empty())
          return reason;
      } else if (!isOfScan(update)) {
        return "the gradient of a param over " + typeOf(update.getValue()).str() + " is a sum";
      }
    for (std::size_t i = 0; i < roles.size(); ++i) {
      Slice slice;
      slice.outputs = rows[i];
      for (const auto& [value, name] : sums[i])
        slice.given.emplace_back(value, name);
      gradient.scans.push_back(slice.take(whole, roles[i].name));
    }
    if (!rest.outputs.empty() || !rest.updates.empty())
      gradient.rest = rest.take(whole, "scalars");
    return {};
  }

private:
  static bool isOfScan(UpdateOp update) {
    return llvm::isa<AffineOp>(update.getValue().getDefiningOp()) ||
           definingMap(update.getValue(), Op::multiply);
  }

  /// A row belongs to the one role that it is made of; a scalar, to the rest.
  std::string takeOutput(OutputOp output) {
    const Value value = output.getValue();
    if (typeOf(value).isScalar()) {
      rest.outputs.push_back(output);
      return takeScalar(value);
    }
    llvm::SmallVector<std::size_t> from;
    std::string reason;
    findRoles(value, output.getName(), from, reason);
    if (!reason.empty())
      return reason;
    if (from.size() != 1)
      return output.getName().str() + " is made of " + std::to_string(from.size()) +
             " of the scans' rows";
    rows[from[0]].push_back(output);
    return {};
  }

  void findRoles(Value value, StringRef output, llvm::SmallVectorImpl<std::size_t>& from,
                 std::string& reason) {
    for (std::size_t i = 0; i < roles.size(); ++i)
      if (roles[i].row == value) {
        if (!llvm::is_contained(from, i))
          from.push_back(i);
        return;
      }
    Operation* op = value.getDefiningOp();
    const bool reduces = llvm::isa<ContractOp, SumOp, MaxOp>(op);
    if (reduces && isOfRole(value)) {
      reason = output.str() + " takes sums over the rows of a gradient";
      return;
    }
    for (Value operand : op->getOperands())
      findRoles(operand, output, from, reason);
  }

  bool isOfRole(Value value) const {
    if (llvm::any_of(roles, [&](const Role& role) { return role.row == value; }))
      return true;
    Operation* op = value.getDefiningOp();
    return llvm::isa<StateOp>(op) ||
           llvm::any_of(op->getOperands(), [&](Value operand) { return isOfRole(operand); });
  }

  /// Sums of rows become outputs of a scan and inputs of the rest.
  std::string takeScalar(Value value) {
    Operation* op = value.getDefiningOp();
    if (cut.contains(value))
      return {};
    if (llvm::isa<ContractOp, SumOp>(op)) {
      StringRef dim = llvm::isa<SumOp>(op) ? llvm::cast<SumOp>(op).getDim()
                                           : llvm::cast<ContractOp>(op).getDim();
      llvm::SmallVector<std::size_t> from;
      std::string reason;
      for (Value operand : op->getOperands())
        findRoles(operand, "a scalar", from, reason);
      if (!reason.empty() || from.size() > 1)
        return "a scalar is made of several rows of gradients";
      if (from.empty())
        for (std::size_t i = 0; i < roles.size(); ++i)
          if (typeOf(roles[i].row).has(dim))
            from = {i};
      if (from.empty() || !typeOf(roles[from[0]].row).has(dim))
        return "a sum over " + dim.str() + " belongs to no scan";
      const std::string name = "sum." + std::to_string(cut.size());
      cut.insert(value);
      sums[from[0]].emplace_back(value, name);
      rest.taken.emplace_back(value, name);
      return {};
    }
    if (!typeOf(value).isScalar())
      return "a scalar is made of rows";
    for (Value operand : op->getOperands())
      if (std::string reason = takeScalar(operand); !reason.empty())
        return reason;
    return {};
  }

  VariantOp whole;
  const std::vector<Role>& roles;
  std::vector<std::vector<OutputOp>> rows;
  std::vector<std::vector<std::pair<Value, std::string>>> sums;
  llvm::DenseSet<Value> cut;
  Slice rest;
};

}  // namespace

std::optional<ScanGradient> findScanGradient(VariantOp variant, std::string& reason) {
  ScanGradient gradient;
  gradient.whole = variant.clone();
  Adjoint adjoint(*gradient.whole);
  reason = adjoint.run();
  if (reason.empty())
    reason = Cutter(*gradient.whole, adjoint.roles).run(gradient);
  if (!reason.empty())
    return std::nullopt;
  return gradient;
}

}  // namespace lathe
