// The border between mathematics and kernels: what a variant computes, as plain data. Left of it
// everything is MLIR; right of it (emission, cache, runtime, tuner) nothing knows MLIR. A plan
// knows no lengths, dtypes or head dims.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lathe {

/// Scalar operations, applied element by element; operands broadcast over the dimensions that they
/// lack.
enum class Op {
  add,
  subtract,
  multiply,
  divide,
  negate,
  minimum,
  maximum,
  exp,
  log,
  sqrt,
  rsqrt,
  abs,
  tanh,
  sigmoid,
  logsigmoid,
  softplus,
  relu,
  silu,
  elu,
  sin,
  cos,
  step,  ///< 1 where x > 0, else 0: the derivative of relu.
};

/// For loops over all of them.
constexpr int opCount = static_cast<int>(Op::step) + 1;

/// One value of the token program. Nodes are in topological order; `args` index earlier nodes.
struct Node {
  enum class Kind {
    operand,    ///< An input or a param: `operand` indexes Plan::operands.
    constant,   ///< A literal: `value`.
    override_,  ///< A `const` of the spec: `operand` indexes Plan::operands; args[0] computes its
                ///< default from literals and dimensions.
    dimension,  ///< The size of the dimension `name`.
    position,   ///< The index of the token within its sequence.
    state,      ///< A state before this token's update: `operand` indexes Plan::operands.
    map,        ///< `op` of args.
    sum,        ///< args[0] summed over the dimension `name`.
    contract,   ///< args[0] times args[1], summed over the dimension `name`.
    affine,     ///< The update of a state in normal form: `affine` indexes Plan::recurrences.
    max,        ///< The maximum of args[0] over the dimension `name` (of softmax).
    index,      ///< The index along the dimension `name`.
    rotate,     ///< args[0] with its halves along `name` exchanged: (x1, x2) to (-x2, x1).
    taylor,     ///< The Taylor features of args[0], over `name`.
    taylorAdjoint,  ///< The gradient of args[0], over `name`, where args[1] is that of its
                    ///< features.
  };

  Kind kind;
  Op op = Op::add;
  std::vector<int> args;
  std::vector<std::string>
      dims;  ///< In the order in which the variant declares them; empty for a scalar.
  std::string name;
  double value = 0;
  int operand = -1;
  int affine = -1;
};

/// A named tensor or number of the call, in the order in which the spec declares them (states
/// last).
struct Operand {
  enum class Kind { input, param, constant, output, state };

  Kind kind;
  std::string name;
  std::vector<std::string> dims;  ///< Of one token and head, in memory order: [B,T,H,dims] (state:
                                  ///< [B,H,dims]; param: [H,dims]).
  bool log = false;               ///< An `in log` gate.
  int value =
      -1;  ///< Output: the node that it is. State: the node of its new value. Constant: its node.
  int line = 0;          ///< Of its declaration in the spec, for #line and error texts.
  bool reverse = false;  ///< A state that goes from the last token to the first.
};

/// S' = exp(logDecay) * S + sum_r left_r (right_r @ S) + sum_s key_s * value_s, every field a node.
/// A state that has one dimension only (a normaliser) has value nodes that are the scalar 1.
struct Recurrence {
  struct Rank1 {
    int left, right;
  };
  struct Outer {
    int key, value;
  };

  int state = -1;              ///< Indexes Plan::operands.
  std::string key;             ///< The dimension that rank-1 terms contract; empty for a scalar.
  std::vector<int> logDecays;  ///< The decay is the exponential of their sum; each a scalar or over
                               ///< one dimension of the state.
  std::vector<Rank1> rank1;
  std::vector<Outer> outer;
};

enum class Family { scan, step, sequential };
enum class DecayKind { none, scalar, vector };
/// The dimensions of a matrix state: the one that is read over, and the other.
enum class Side { key, value };

/// How the scan family reads the program: one matrix state [K,V] with diagonal decay, one outer
/// product, one read. Outputs are over V, or sums over it of rows or of products of two.
struct ScanForm {
  std::string keyDim, valueDim;
  int state = -1;                                       ///< Operand.
  int query = -1, key = -1, value = -1, logDecay = -1;  ///< Nodes; logDecay is -1 without decay.
  DecayKind decay = DecayKind::none;
  int read = -1;               ///< The contract node that is query @ state.
  bool readsBefore = false;    ///< The read sees the state before this token's update.
  int normaliser = -1;         ///< Operand of the state [K] with the same decay and key, or -1 ...
  int normaliserRead = -1;     ///< ... and the contract node that is query @ normaliser.
  bool reverse = false;        ///< From the last token to the first, the decay behind the read.
  Side decaySide = Side::key;  ///< Over which dimension a vector decay is.
  /// Where every token reads the sum over all (`direction both` without decay): the state's and the
  /// normaliser's counterparts in reverse, which hold the later tokens, and their reads; else -1.
  int opposite = -1, oppositeRead = -1, oppositeNormaliser = -1, oppositeNormaliserRead = -1;

  bool isSum() const { return opposite >= 0; }
  /// The states, each with its normaliser behind it: those in reverse last.
  std::vector<int> states() const;
  /// Whether a node is one of the reads, and whether it is one of those in reverse.
  bool reads(int node) const;
  bool readsOpposite(int node) const;
};

/// A dimension whose size follows from that of another, n: `taylor2` gives 1 + n + n * n.
struct DerivedDim {
  std::string dim, function, from;
};

/// How the name of the state ends that sums up the gradient of another's log-decay, in plans of
/// parts of a gradient: that of S is "S.log_decay".
constexpr const char* decayGradientEnd = ".log_decay";

/// What the sizes of a call must keep (compiler/plan/Dims.h).
struct DimRules {
  std::vector<DerivedDim> derived;
  std::vector<std::string> even;  ///< Their halves are exchanged (rope).
};

struct Remark {
  int line = 0, column = 0;
  std::string text;
};

struct Plan {
  std::string variant;
  std::vector<std::string> dims;
  DimRules rules;
  std::vector<Operand> operands;
  std::vector<Node> nodes;
  std::vector<Recurrence> recurrences;
  std::optional<ScanForm> scan;  ///< Absent: the sequential family, for the reasons in `remarks`.
  /// Where there is one matrix from each end, and these are no sum: the scan of that in reverse,
  /// the other way round in all. `scan` is then that of the other matrix.
  std::optional<ScanForm> reverseScan;
  std::vector<Remark> remarks;
  std::string noKernel;  ///< Why no kernel of any family runs this plan; empty where one does.

  /// The family that runs `tokens` tokens of this plan.
  Family family(long long tokens) const;
};

const char* name(Op op);
const char* name(Family family);

/// Throws std::invalid_argument where the JSON is not a plan.
void to_json(nlohmann::json& json, const Plan& plan);
void from_json(const nlohmann::json& json, Plan& plan);

}  // namespace lathe
