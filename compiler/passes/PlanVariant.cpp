#include "compiler/passes/PlanVariant.h"

#include "compiler/dialect/Build.h"
#include "compiler/passes/ScanForm.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace lathe {

Remark placeOf(Location loc) {
  Remark place;
  loc->walk([&](Location part) {
    const auto file = llvm::dyn_cast<FileLineColLoc>(part);
    if (!file)
      return WalkResult::advance();
    place.line = static_cast<int>(file.getLine());
    place.column = static_cast<int>(file.getColumn());
    return WalkResult::interrupt();
  });
  return place;
}

namespace {

std::vector<std::string> namesOf(ValueType type) {
  std::vector<std::string> names;
  for (StringAttr dim : type.getDims())
    names.push_back(dim.str());
  return names;
}

class Planner {
public:
  explicit Planner(VariantOp variant) : variant(variant) {}

  /// What of the scan family a plan is looked through for.
  enum class Scans { none, whole, part };

  Plan run(Scans scans) {
    plan.variant = variant.getSymName().str();
    for (StringAttr dim : variant.getDims().getAsRange<StringAttr>())
      plan.dims.push_back(dim.str());
    plan.rules = variant.dimRules();
    for (Operation& op : variant.getBody().front())
      declare(op);
    for (StateOp state : variant.getBody().getOps<StateOp>())
      declare(state, Operand::Kind::state, state.getName(), state.getType(), state.getStoredAttr());
    for (Operation& op : variant.getBody().front())
      add(op);
    for (UpdateOp update : variant.getBody().getOps<UpdateOp>())
      plan.operands[states.lookup(update.getName())].value = nodes.lookup(update.getValue());
    if (scans != Scans::none)
      findScan(scans == Scans::part);
    return std::move(plan);
  }

private:
  void remark(Operation* at, const std::string& text) {
    plan.remarks.push_back(placeOf(at->getLoc()));
    plan.remarks.back().text = text;
  }

  void findScan(bool isPart) {
    NoScan why;
    if (findScanForm(plan, isPart, why))
      return;
    Operation* at = variant;
    for (const auto& [op, index] : operands)
      if (index == why.operand)
        at = op;
    remark(at, "the scan family does not run it: " + why.reason);
  }

  void declare(Operation& op) {
    llvm::TypeSwitch<Operation*>(&op)
        .Case([&](InputOp input) {
          declare(input, Operand::Kind::input, input.getName(), input.getType(),
                  input.getStoredAttr());
          plan.operands.back().log = input.getLog();
        })
        .Case([&](ParamOp param) {
          declare(param, Operand::Kind::param, param.getName(), param.getType(),
                  param.getStoredAttr());
          plan.operands.back().log = param.getLog();
        })
        .Case([&](ConstantOp constant) {
          declare(constant, Operand::Kind::constant, constant.getName(), constant.getType(), {});
        })
        .Case([&](OutputOp output) {
          declare(output, Operand::Kind::output, output.getName(), typeOf(output.getValue()),
                  output.getStoredAttr());
        });
  }

  void declare(Operation* op, Operand::Kind kind, StringRef name, ValueType type,
               ArrayAttr stored) {
    const int index = static_cast<int>(plan.operands.size());
    Operand& operand = plan.operands.emplace_back();
    operand.kind = kind;
    operand.name = name.str();
    operand.dims = namesOf(type);
    operand.line = placeOf(op->getLoc()).line;
    if (stored) {
      operand.dims.clear();
      for (StringAttr dim : stored.getAsRange<StringAttr>())
        operand.dims.push_back(dim.str());
    }
    operands[op] = index;
    if (kind == Operand::Kind::state) {
      operand.reverse = llvm::cast<StateOp>(op).getReverse();
      states[name] = index;
    }
  }

  void add(Operation& op) {
    if (auto output = llvm::dyn_cast<OutputOp>(op)) {
      plan.operands[operands.lookup(&op)].value = nodes.lookup(output.getValue());
      return;
    }
    if (auto broadcast = llvm::dyn_cast<BroadcastOp>(op)) {
      // Readers of a plan broadcast over the dimensions that a node lacks.
      nodes[broadcast] = nodes.lookup(broadcast.getInput());
      return;
    }
    if (op.getNumResults() != 1)
      return;
    Node node;
    node.dims = namesOf(typeOf(op.getResult(0)));
    for (Value operand : op.getOperands())
      node.args.push_back(nodes.lookup(operand));
    if (auto running = llvm::dyn_cast<RunningMaxOp>(op))
      node.args = {decayedMaximum(running), node.args[2]};
    const int index = static_cast<int>(plan.nodes.size());
    describe(op, node, index);
    nodes[op.getResult(0)] = index;
    plan.nodes.push_back(std::move(node));
  }

  /// What a running maximum was, after its decay.
  int decayedMaximum(RunningMaxOp running) {
    Node sum;
    sum.kind = Node::Kind::map;
    sum.op = Op::add;
    sum.args = {nodes.lookup(running.getState()), nodes.lookup(running.getDecay())};
    sum.dims = namesOf(typeOf(running));
    plan.nodes.push_back(std::move(sum));
    return static_cast<int>(plan.nodes.size()) - 1;
  }

  void describe(Operation& op, Node& node, int index) {
    const auto declaration = [&](Node::Kind kind) {
      node.kind = kind;
      node.operand = operands.lookup(&op);
    };
    llvm::TypeSwitch<Operation*>(&op)
        .Case<InputOp, ParamOp>([&](auto) { declaration(Node::Kind::operand); })
        .Case([&](StateOp) { declaration(Node::Kind::state); })
        .Case([&](ConstantOp) {
          declaration(Node::Kind::override_);
          plan.operands[node.operand].value = index;
        })
        .Case([&](LiteralOp literal) {
          node.kind = Node::Kind::constant;
          node.value = literal.getValue().convertToDouble();
        })
        .Case([&](DimOp dim) {
          node.kind = Node::Kind::dimension;
          node.name = dim.getDim().str();
        })
        .Case([&](PositionOp) { node.kind = Node::Kind::position; })
        .Case([&](MapOp map) {
          node.kind = Node::Kind::map;
          node.op = *scalarOpOf(map);
        })
        .Case([&](RunningMaxOp) {
          node.kind = Node::Kind::map;
          node.op = Op::maximum;
        })
        .Case([&](SumOp sum) {
          node.kind = Node::Kind::sum;
          node.name = sum.getDim().str();
        })
        .Case([&](MaxOp max) {
          node.kind = Node::Kind::max;
          node.name = max.getDim().str();
        })
        .Case([&](ContractOp contract) {
          node.kind = Node::Kind::contract;
          node.name = contract.getDim().str();
        })
        .Case([&](IndexOp along) {
          node.kind = Node::Kind::index;
          node.name = along.getDim().str();
        })
        .Case([&](RotateOp rotate) {
          node.kind = Node::Kind::rotate;
          node.name = rotate.getDim().str();
        })
        .Case([&](TaylorOp taylor) {
          node.kind = Node::Kind::taylor;
          node.name = taylor.getDim().str();
        })
        .Case([&](TaylorAdjointOp taylor) {
          node.kind = Node::Kind::taylorAdjoint;
          node.name = taylor.getDim().str();
        })
        .Case([&](AffineOp affine) {
          node.kind = Node::Kind::affine;
          node.affine = static_cast<int>(plan.recurrences.size());
          plan.recurrences.push_back(recurrenceOf(affine));
        })
        .Default([](Operation* other) {
          llvm::report_fatal_error("a plan has no node for " + other->getName().getStringRef() +
                                   "; plan the normal form");
        });
  }

  Recurrence recurrenceOf(AffineOp affine) {
    Recurrence recurrence;
    recurrence.state = operands.lookup(affine.getState().getDefiningOp());
    recurrence.key = affine.keyDim().str();
    for (Value decay : affine.getDecays())
      recurrence.logDecays.push_back(nodes.lookup(decay));
    for (const auto& [left, right] : llvm::zip(affine.getLefts(), affine.getRights()))
      recurrence.rank1.push_back({nodes.lookup(left), nodes.lookup(right)});
    for (const auto& [key, value] : llvm::zip(affine.getKeys(), affine.getValues()))
      recurrence.outer.push_back({nodes.lookup(key), nodes.lookup(value)});
    return recurrence;
  }

  VariantOp variant;
  Plan plan;
  llvm::DenseMap<Value, int> nodes;
  llvm::DenseMap<Operation*, int> operands;
  llvm::StringMap<int> states;
};

}  // namespace

Plan planVariant(VariantOp variant) { return Planner(variant).run(Planner::Scans::whole); }

Plan planAdjoint(VariantOp adjoint) { return Planner(adjoint).run(Planner::Scans::none); }

Plan planPart(VariantOp part) { return Planner(part).run(Planner::Scans::part); }

}  // namespace lathe
