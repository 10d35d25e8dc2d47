// The emitter of the general form of step and sequential: a schedule of the token program
// (GraphSchedule.h) written out, for plans that the layouts of TokenEmitter.h do not take.
#pragma once

#include "compiler/cuda/Families.h"
#include "compiler/cuda/GraphSchedule.h"

namespace lathe::cuda {

/// What all sweeps of a kernel share.
class GeneralKernel {
public:
  GeneralKernel(const Plan& plan, const Signature& signature, const Tile& tile);

  const Plan& plan;
  const Signature& signature;
  const Tile& tile;
  const Graph graph;
  std::string spread;  ///< The dimension that is cut among thread blocks; empty: none can be.
  std::vector<KernelSource::Slot> tensors;
  std::vector<int> constants;
  std::vector<GraphSweep> sweeps;
  std::map<int, int> record;  ///< Values that later sweeps read: their place in a token's record.
  int recordSize = 0;         ///< Floats.
  Columns recordColumns;      ///< The last dimension of each two in a record.
  /// Tokens between two checkpoints of the states, behind which what later sweeps need is computed
  /// again; 0: all of it is kept.
  int span = 0;
  std::map<int, int> checkpoint;  ///< States: their place in a checkpoint.
  int checkpointSize = 0;         ///< Floats.
  std::map<int, int> carriers;    ///< Of the next values of states that have rows: where these are.
  SharedLayout carried;           ///< Up to behind them.

  int size(const std::string& dim) const { return signature.dims.at(dim); }
  /// Of what a block holds of it.
  int held(const std::string& dim) const;
  int held(const Dims& dims) const;
  int tiles() const;
  int threads() const;
  /// fp32 registers a thread that hold states.
  int heldRegisters() const;
  bool isSpread(const Dims& dims) const { return has(dims, spread); }
  std::string tensor(int operand, KernelSource::Slot::Role role) const;
  /// Floats from one token's row of a value to the next. Steps of a pass may read up to 31 elements
  /// beyond.
  int pitch(int value) const;
  /// Of a value in a record, the fastest last.
  Dims recordDims(int value) const;

private:
  void findRecord();
  void findCarriers();
};

/// Blocks that a multiprocessor should hold, by the registers that a thread needs.
int generalBlocks(const GeneralKernel& kernel, Family family);

/// Where an expression is written: the index of each dimension there, and what is known already.
struct Scope {
  Text& text;
  std::map<std::string, std::string> at;
  std::map<std::string, int> limits = {};  ///< Dimensions whose index may be beyond this size.
  std::map<std::pair<int, std::string>, std::string> known = {};
  std::map<std::string, std::string> loaded = {};  ///< Elements of inputs that are in registers.
};

/// Writes one sweep: a struct with the registers of its states and the code of a block of tokens.
class SweepWriter {
public:
  SweepWriter(const GeneralKernel& kernel, const GraphSweep& sweep);

  void write(Text& text, const std::string& name);
  std::size_t sharedBytes() const { return layout.size(); }

private:
  void place();
  void placeInputs();
  int pitch(int value) const { return kernel.pitch(value); }
  void writePointers(Text& text) const;
  void writeTransfer(Text& text, bool load) const;
  void writeHeldTransfer(Text& text, int state, bool load) const;
  void writeRowTransfer(Text& text, int state, bool load) const;
  void writeCheckpoint(Text& text, bool load) const;
  void writeCarry(Text& text) const;
  void writeAdvance(Text& text);
  void writeStage(Text& text, const Stage& stage);
  void writeGroup(Text& text, const Group& group, bool isLoop, int turn);
  void writeTokenLoop(Text& text, const Group& group);
  void writeToken(Text& text) const;
  void writeInputs(Text& text);
  std::set<int> inputsOf(const Group& group) const;
  void addInputs(int value, const Dims& space, std::set<int>& inputs) const;
  int roundsOf(const Dims& space) const;
  void writeIndices(Scope& scope, const Dims& space) const;
  void writeElements(Text& text, const Group& group, bool isLoop);
  void writeRows(Text& text, const Group& group, bool isLoop, int turn);
  void writePass(Text& text, const Group& group, int tokens);
  std::string rowOf(const Scope& scope, int value) const;
  void writePassLeaves(Text& text, const std::set<int>& leaves, const Dims& dims, Scope scope,
                       const std::string& suffix, Scope& inner);
  std::string recordRow(int value, const std::string& channel) const;
  void writePassBody(Scope& scope, const Group& group, const std::map<int, std::string>& sums,
                     const std::map<int, std::string>& kept, const std::string& columnSum);
  void finishChannels(Text& text, const Item& item, const std::string& sum, bool isRagged);
  void writeItem(Scope& scope, const Group& group, int item);
  void writeStore(Scope& scope, const Item& item);

  /// The code of a value at the indices of `scope`: a name or a literal.
  std::string value(Scope& scope, int value);
  std::string define(Scope& scope, int value);
  std::string code(Scope& scope, int value);
  std::string reduction(Scope& scope, int value);
  std::string rotated(Scope& scope, int value);
  std::string taylor(Scope& scope, int value);
  std::string taylorAdjoint(Scope& scope, int value);
  std::string uniform(int value) const;
  std::string term(Scope& scope, int value);
  std::string load(Scope& scope, int operand) const;
  std::string element(const Scope& scope, int operand) const;
  std::string recorded(Scope& scope, int value) const;
  std::string row(const Scope& scope, int value, int ahead) const;
  std::string offset(const Scope& scope, const Dims& dims, bool isHeld) const;
  std::string condition(const Scope& scope, const Dims& dims) const;
  std::string keyOf(const Scope& scope, int value) const;
  std::string name();
  std::string heldType(const Dims& dims) const;
  bool isReadBeyond(const Group& group, int item) const;
  bool isLargest(int value) const { return graph.values[value].kind == Node::Kind::max; }

  const GeneralKernel& kernel;
  const Graph& graph;
  const GraphSweep& sweep;
  Items items;
  Schedule schedule;
  SharedLayout layout;
  std::map<int, int> rowOffsets;      ///< Of values.
  std::set<int> ahead;                ///< Inputs that are loaded into registers a block ahead.
  std::map<int, int> partialOffsets;  ///< Of values that a pass leaves in parts.
  int names = 0;
};

}  // namespace lathe::cuda
