// The scan family's emitter: which tile plays which role, where every tile lies in shared memory
// (ScanLayout.cpp), and the Variant that follows from it (EmitScan.cpp).
#pragma once

#include "compiler/cuda/Families.h"

namespace lathe::cuda {

/// One of query, key, value and the gate of every channel: a tile of `rows` by `padded` elements.
struct Role {
  int node = -1;
  bool ofKey = true;
  DType dtype;
  int source =
      -1;  ///< The input whose loaded tile this is, or takes the place of; -1: a tile of its own.
  bool prepared = false;
  int offset = 0;
};

class ScanEmitter {
public:
  ScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile, const ScanPart& part);
  ScanSource emit();

private:
  int dim(const std::string& name) const { return signature.dims.at(name); }
  int tensorOf(int operand) const { return tensorIndex(kernel.tensors, operand, part); }
  int padded(bool ofKey) const { return ofKey ? paddedK : tile.blockV; }
  int pitch(bool ofKey, DType dtype) const { return padded(ofKey) + 16 / bytes(dtype); }
  bool isKey(int operand) const { return axes.isKey(plan.operands[operand].dims); }
  std::string tileExpression(bool ofKey, DType dtype, int offset, bool staged) const;
  std::string rowExpression(int operand) const;
  std::string firstColumn(bool ofKey) const { return ofKey ? "0" : "tile * kBlockV"; }
  void check() const;
  void assignRoles();
  void layOut();
  void writeConstants(Text& text) const;
  void writeTiles(Text& text) const;
  void writeCopies(Text& text) const;
  void writeFinish(Text& text) const;
  std::set<int> finishNodes(int output) const;

  const Plan& plan;
  const Signature& signature;
  const Tile& tile;
  const ScanPart& part;
  const ScanForm& form;
  Analysis analysis;
  Axes axes;
  KernelSource kernel;
  Program program;
  int paddedK;
  bool channelGate;  ///< Every channel of one side has its own decay.
  bool gateOfKey;    ///< Of which.
  Role query, key, value, gate;
  std::map<int, int> staged;  ///< Offset in a stage of each loaded input.
  std::vector<int> outputs, states;
  SharedLayout stage, rest;
  int stageBytes = 0, scoreOffset = 0, slotOffset = 0, cumulativeOffset = 0, totalOffset = 0,
      normaliserOffset = 0, ownOffset = 0;
};

}  // namespace lathe::cuda
