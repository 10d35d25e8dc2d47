#include "compiler/passes/ScanForm.h"

#include <algorithm>

namespace lathe {

namespace {

class ScanFinder {
public:
  /// What a scan holds: all states, those in reverse as a sum with the others, or alone as a part
  /// of a gradient does; or the states of one direction.
  enum class States { whole, part, forward, reverse };

  ScanFinder(Plan& plan, States held)
      : plan(plan), held(held), isPart(held == States::part), fromState(plan.nodes.size(), false) {
    for (std::size_t at = 0; at < plan.nodes.size(); ++at) {
      const Node& node = plan.nodes[at];
      fromState[at] =
          node.kind == Node::Kind::state || node.kind == Node::Kind::affine ||
          std::any_of(node.args.begin(), node.args.end(), [&](int arg) { return fromState[arg]; });
    }
  }

  ScanForm run() {
    requireKinds();
    findStates();
    const Recurrence recurrence = recurrenceOf(form.state);
    const Read read = readOf(form.state);
    form.query = read.query;
    form.read = read.node;
    form.readsBefore = read.before;
    if (form.reverse && read.before)
      refuse(form.state, " goes in reverse and is read before its update");
    takeMatrix(recurrence);
    if (form.normaliser != -1)
      takeNormaliser(recurrence);
    takeOpposite(recurrence);
    for (int at = 0; at < static_cast<int>(plan.operands.size()); ++at) {
      const Operand& operand = plan.operands[at];
      if (operand.kind == Operand::Kind::output && !isSum(operand) &&
          operand.dims != std::vector<std::string>{form.valueDim})
        throw NoScan{at, "the output " + operand.name + " is not over " + form.valueDim};
    }
    requireElementwise();
    takeDecay(recurrence);
    return form;
  }

private:
  struct Read {
    int node, query;
    bool before;
  };

  const Operand& stateNamed(int operand) const { return plan.operands[operand]; }

  [[noreturn]] void refuse(int operand, const std::string& reason) const {
    throw NoScan{operand, "the state " + plan.operands[operand].name + reason};
  }

  static bool within(const std::vector<std::string>& dims, const std::string& accepted) {
    return dims.empty() || (dims.size() == 1 && dims[0] == accepted);
  }

  void requireKinds() const {
    for (const Node& node : plan.nodes) {
      if (node.kind == Node::Kind::taylor)
        throw NoScan{-1, "it forms Taylor features"};
      if (node.kind == Node::Kind::index || node.kind == Node::Kind::rotate)
        throw NoScan{-1, "it turns pairs of elements by their position"};
    }
  }

  void findStates() {
    for (int at = 0; at < static_cast<int>(plan.operands.size()); ++at) {
      const Operand& operand = plan.operands[at];
      if (operand.kind != Operand::Kind::state || isOther(operand))
        continue;
      if (operand.reverse && held == States::whole) {
        int& slot = operand.dims.size() == 2 ? form.opposite : form.oppositeNormaliser;
        if (slot != -1 || operand.dims.empty())
          refuse(at, inReverse);
        slot = at;
        continue;
      }
      if (operand.dims.size() == 2 && form.state == -1)
        form.state = at;
      else if (operand.dims.size() == 1 && form.normaliser == -1)
        form.normaliser = at;
      else
        refuse(at, operand.dims.size() == 2   ? " is a second matrix; the scan family holds one"
                   : operand.dims.size() == 1 ? " is a second vector; the scan family holds one "
                                                "normaliser"
                                              : " is neither a matrix nor a vector");
    }
    for (int own : {form.opposite, form.oppositeNormaliser})
      if (own != -1 && form.state == -1)
        refuse(own, inReverse);
    if (form.state == -1)
      throw NoScan{-1, "there is no state of two dimensions"};
    form.reverse = isPart && stateNamed(form.state).reverse;
    if (form.reverse && form.normaliser != -1)
      refuse(form.state, " goes in reverse and has a normaliser");
  }

  /// Whether a state belongs to the scan in the other direction.
  bool isOther(const Operand& state) const {
    return (held == States::forward && state.reverse) ||
           (held == States::reverse && !state.reverse);
  }

  /// Whether a node reads such a state.
  bool readsOther(const Node& node) const {
    return node.kind == Node::Kind::contract &&
           std::any_of(node.args.begin(), node.args.end(), [&](int arg) {
             const Node& read = plan.nodes[arg];
             const bool isState = read.kind == Node::Kind::state;
             return (isState || read.kind == Node::Kind::affine) &&
                    isOther(plan.operands[isState ? read.operand
                                                  : plan.recurrences[read.affine].state]);
           });
  }

  /// Of a state in reverse, with the decays that come behind the read.
  Recurrence recurrenceOf(int state) const {
    int node = stateNamed(state).value;
    std::vector<int> later;
    while (form.reverse && isDecayed(node)) {
      const std::vector<int>& args = plan.nodes[node].args;
      const int factor = fromState[args[0]] ? 1 : 0;
      later.push_back(plan.nodes[args[factor]].args[0]);
      node = args[1 - factor];
    }
    if (plan.nodes[node].kind != Node::Kind::affine)
      refuse(state, " has no normal form");
    Recurrence recurrence = plan.recurrences[plan.nodes[node].affine];
    if (form.reverse && !recurrence.logDecays.empty())
      refuse(state, " goes in reverse and decays before it is read");
    if (form.reverse)
      recurrence.logDecays = later;
    return recurrence;
  }

  /// exp(decay) times what is computed from a state.
  bool isDecayed(int at) const {
    const Node& node = plan.nodes[at];
    if (node.kind != Node::Kind::map || node.op != Op::multiply)
      return false;
    const auto isExp = [&](int arg) {
      return plan.nodes[arg].kind == Node::Kind::map && plan.nodes[arg].op == Op::exp &&
             !fromState[arg];
    };
    return (isExp(node.args[0]) && fromState[node.args[1]]) ||
           (isExp(node.args[1]) && fromState[node.args[0]]);
  }

  /// Whether an output is a sum over the columns, which only parts of a gradient put out: of a row,
  /// or of the product of two.
  bool isSum(const Operand& operand) const {
    const Node& node = plan.nodes[operand.value];
    const bool sums = node.kind == Node::Kind::sum || node.kind == Node::Kind::contract;
    return isPart && operand.dims.empty() && sums && node.name == form.valueDim;
  }

  void requirePlain(int node, const std::string& what) const {
    if (fromState[node])
      refuse(form.state, " is written with " + what + " that is computed from a state");
  }

  void takeMatrix(const Recurrence& recurrence) {
    if (!recurrence.rank1.empty())
      refuse(form.state, " has rank-1 terms, which read it while they write it");
    if (recurrence.outer.size() != 1)
      refuse(form.state, " takes " + std::to_string(recurrence.outer.size()) +
                             " outer products a token; the scan family adds one");
    form.key = recurrence.outer[0].key;
    form.value = recurrence.outer[0].value;
    if (recurrence.key != form.keyDim)
      std::swap(form.key, form.value);
    requirePlain(form.key, "a key");
    requirePlain(form.value, "a value");
    for (int decay : recurrence.logDecays) {
      requirePlain(decay, "a decay");
      takeSide(plan.nodes[decay].dims);
    }
  }

  void takeSide(const std::vector<std::string>& dims) {
    if (dims.empty())
      return;
    const Side side = dims[0] == form.keyDim ? Side::key : Side::value;
    if (form.decay == DecayKind::vector && side != form.decaySide)
      refuse(form.state, " decays over " + form.keyDim + " and over " + form.valueDim +
                             "; the scan family takes a decay over one of them");
    form.decay = DecayKind::vector;
    form.decaySide = side;
  }

  /// What is read leaves the scan column by column: nothing may sum over the columns again.
  void requireElementwise() const {
    for (int at = 0; at < static_cast<int>(plan.nodes.size()); ++at) {
      const Node& node = plan.nodes[at];
      const bool reduces = node.kind == Node::Kind::sum || node.kind == Node::Kind::max ||
                           node.kind == Node::Kind::contract;
      const bool isOutput =
          std::any_of(plan.operands.begin(), plan.operands.end(), [&](const Operand& operand) {
            return operand.kind == Operand::Kind::output && operand.value == at && isSum(operand);
          });
      if (reduces && fromState[at] && !form.reads(at) && !readsOther(node) &&
          !(isOutput && !isUsed(at)))
        refuse(form.state, " is read, and what is read is reduced over " + node.name +
                               "; the scan family applies elementwise maps to it");
    }
  }

  bool isUsed(int at) const {
    return std::any_of(plan.nodes.begin(), plan.nodes.end(), [&](const Node& node) {
      return std::find(node.args.begin(), node.args.end(), at) != node.args.end();
    });
  }

  /// The one contraction that reads a state, old or new; of the matrix it says which dimension is
  /// the key's.
  Read readOf(int state) {
    std::vector<Read> reads;
    for (int at = 0; at < static_cast<int>(plan.nodes.size()); ++at) {
      const Node& node = plan.nodes[at];
      for (std::size_t i = 0; i < node.args.size(); ++i) {
        const Node& read = plan.nodes[node.args[i]];
        const bool before = read.kind == Node::Kind::state && read.operand == state;
        const bool after =
            read.kind == Node::Kind::affine && plan.recurrences[read.affine].state == state;
        if ((!before && !after) || (node.kind == Node::Kind::affine && before && i == 0))
          continue;
        if (form.reverse && after && isDecayed(at))
          continue;
        if (node.kind != Node::Kind::contract)
          refuse(state, " is read other than by a contraction");
        reads.push_back({at, node.args[1 - i], before});
      }
    }
    for (const Operand& operand : plan.operands)
      if (operand.kind == Operand::Kind::output &&
          (plan.nodes[operand.value].kind == Node::Kind::state ||
           plan.nodes[operand.value].kind == Node::Kind::affine))
        refuse(state, " is itself the output " + operand.name);
    if (reads.size() != 1)
      refuse(state, " is read " + std::to_string(reads.size()) +
                        " times a token; the scan family reads it once");
    const Read read = reads[0];
    if (state == form.state) {
      const std::vector<std::string>& dims = stateNamed(state).dims;
      form.keyDim = plan.nodes[read.node].name;
      form.valueDim = dims[dims[0] == form.keyDim ? 1 : 0];
    }
    if (plan.nodes[read.node].name != form.keyDim)
      refuse(state, " is read over " + plan.nodes[read.node].name + ", not over " + form.keyDim);
    if (fromState[read.query])
      refuse(state, " is read with a query that is computed from a state");
    if (!within(plan.nodes[read.query].dims, form.keyDim))
      refuse(state, " is read with a query that has dimensions other than " + form.keyDim);
    return read;
  }

  void takeNormaliser(const Recurrence& matrix) {
    const Recurrence& recurrence = recurrenceOf(form.normaliser);
    const auto isOne = [&](int node) {
      return plan.nodes[node].kind == Node::Kind::constant && plan.nodes[node].value == 1;
    };
    if (!recurrence.rank1.empty() || recurrence.outer.size() != 1 ||
        recurrence.outer[0].key != form.key || !isOne(recurrence.outer[0].value))
      refuse(form.normaliser,
             " is no normaliser: it does not add the key of " + stateNamed(form.state).name);
    if (recurrence.logDecays != matrix.logDecays)
      refuse(form.normaliser,
             " is no normaliser: it does not decay as " + stateNamed(form.state).name + " does");
    const Read read = readOf(form.normaliser);
    if (read.query != form.query || read.before || form.readsBefore)
      refuse(form.normaliser,
             " is no normaliser: it is not read after the update by the query of " +
                 stateNamed(form.state).name);
    form.normaliserRead = read.node;
  }

  /// The counterpart in reverse of a state: it takes what that takes, without decay, and the same
  /// query reads what later tokens wrote.
  void takeOpposite(int own, int opposite, const Recurrence& recurrence, int& read) {
    if (own == -1)
      refuse(opposite, inReverse);
    const Recurrence& other = recurrenceOf(opposite);
    const auto same = [](const Recurrence::Outer& a, const Recurrence::Outer& b) {
      return a.key == b.key && a.value == b.value;
    };
    const Read found = readOf(opposite);
    if (stateNamed(opposite).dims != stateNamed(own).dims || !recurrence.logDecays.empty() ||
        !other.logDecays.empty() || !other.rank1.empty() || other.outer.size() != 1 ||
        !same(other.outer[0], recurrence.outer[0]) || found.query != form.query || !found.before)
      refuse(opposite, inReverse);
    read = found.node;
  }

  /// Both directions without decay are one sum over all tokens.
  void takeOpposite(const Recurrence& recurrence) {
    if (form.opposite == -1 && form.oppositeNormaliser == -1)
      return;
    if (form.readsBefore || form.opposite == -1 ||
        (form.normaliser == -1) != (form.oppositeNormaliser == -1))
      refuse(std::max(form.opposite, form.oppositeNormaliser), inReverse);
    takeOpposite(form.state, form.opposite, recurrence, form.oppositeRead);
    if (form.normaliser != -1)
      takeOpposite(form.normaliser, form.oppositeNormaliser, recurrenceOf(form.normaliser),
                   form.oppositeNormaliserRead);
  }

  void takeDecay(const Recurrence& recurrence) {
    for (int decay : recurrence.logDecays) {
      if (form.logDecay == -1) {
        form.logDecay = decay;
        continue;
      }
      Node sum;
      sum.kind = Node::Kind::map;
      sum.op = Op::add;
      sum.args = {form.logDecay, decay};
      sum.dims = std::max(plan.nodes[form.logDecay].dims, plan.nodes[decay].dims);
      form.logDecay = static_cast<int>(plan.nodes.size());
      plan.nodes.push_back(std::move(sum));
    }
    if (form.logDecay != -1 && form.decay == DecayKind::none)
      form.decay = DecayKind::scalar;
  }

  static constexpr const char* inReverse = " goes in reverse";

  Plan& plan;
  const States held;
  const bool isPart;
  ScanForm form;
  std::vector<bool> fromState;
};

/// One scan from each end, of matrices alone, that meet in one output.
bool findPair(Plan& plan) {
  using States = ScanFinder::States;
  const auto isOutput = [](const Operand& operand) {
    return operand.kind == Operand::Kind::output;
  };
  const bool counts = std::any_of(plan.nodes.begin(), plan.nodes.end(), [](const Node& node) {
    return node.kind == Node::Kind::position;
  });
  if (counts || std::count_if(plan.operands.begin(), plan.operands.end(), isOutput) != 1)
    return false;
  try {
    const ScanForm forward = ScanFinder(plan, States::forward).run(),
                   reverse = ScanFinder(plan, States::reverse).run();
    if (forward.normaliser >= 0 || reverse.normaliser >= 0 || forward.keyDim != reverse.keyDim)
      return false;
    plan.scan = forward;
    plan.reverseScan = reverse;
  } catch (const NoScan&) {
    return false;
  }
  return true;
}

}  // namespace

bool findScanForm(Plan& plan, bool isPart, NoScan& why) {
  using States = ScanFinder::States;
  try {
    plan.scan = ScanFinder(plan, isPart ? States::part : States::whole).run();
    return true;
  } catch (const NoScan& no) {
    why = no;
    return !isPart && findPair(plan);
  }
}

}  // namespace lathe
