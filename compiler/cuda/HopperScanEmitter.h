// The emitter of the scan family's form for sm_90a: what of a plan it takes, and the Variant for
// templates/kernels/scan_sm90.cuh (EmitHopperScan.cpp), or where every channel has its own decay,
// for scan_sm90_channels.cuh if it is one of K and scan_sm90_values.cuh if of V
// (EmitHopperChannels.cpp).
#pragma once

#include "compiler/cuda/Families.h"

#include <stdexcept>

namespace lathe::cuda {

constexpr int hopperChunk = 64, panelColumns = 64;
/// Bytes of shared memory that a thread block of sm_90 may have.
constexpr int mostShared = 227 * 1024;

/// A loaded tensor, as it is or as the row program makes it in its place, times scalars of the
/// token.
struct Product {
  int operand = -1;
  std::vector<int> factors;  ///< Nodes.
  int map = -1;              ///< The node that the tensor becomes; -1: it stays.
};

class HopperScanEmitter {
public:
  HopperScanEmitter(const Plan& plan, const Signature& signature, const Tile& tile,
                    const ScanPart& part);
  ScanSource emit();

private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw std::invalid_argument("scan of '" + plan.variant + "' with tile " + toString(tile) +
                                ": " + why);
  }
  int dim(const std::string& name) const { return signature.dims.at(name); }
  int tensorOf(int operand) const { return tensorIndex(kernel.tensors, operand, part); }
  /// A scalar of the token; with a decay of every channel also one that is made of vectors.
  bool factor(int node) const {
    return plan.nodes[node].dims.empty() && (channels || analysis.scalar(node)) &&
           !analysis.stateDependent(node);
  }
  void check() const;
  Product productOf(int node, const std::string& dim, const char* role) const;
  int sourceOf(int map, const std::string& dim) const;
  std::string tileOf(const Product& product) const;
  void describeRows();
  void mapRows();
  void storeRows(const Product& product);
  Product channelProduct(int node, bool ofKey, DType dtype);
  void placeChannelInputs();
  void mapChannels();
  std::vector<int> termsOf(int sum) const;
  std::set<int> finishNodes() const;
  void checkSums() const;
  bool hasRowFactor() const;
  bool isValue(int node) const;
  bool valuesInOutput() const;
  void takeGate(int node);
  void keepScalars();
  void layOut();
  /// Bytes of a stage's tile of queries, of keys or of gates of K; and of one over V.
  int keyTile() const { return hopperChunk * panelColumns * 2 * keyPanels; }
  int valueTile() const { return hopperChunk * tile.blockV * 2; }
  int gateTile() const { return ofKeys ? keyTile() : valueTile(); }
  void layOutChannels(SharedLayout& room);
  std::vector<std::string> channelTemplates() const;
  void writeChannelInputs(Text& text) const;
  std::string times(const std::vector<int>& factors) const;
  void writeConstants(Text& text) const;
  void writeChannelConstants(Text& text) const;
  void writeRegisters(Text& text) const;
  void writeFactors(Text& text) const;
  void writeOperands(Text& text) const;
  void writeProgram(Text& text);
  void writeFinish(Text& text) const;

  const Plan& plan;
  const Signature& signature;
  const Tile& tile;
  const ScanPart& part;
  const ScanForm& form;
  Analysis analysis;
  Axes axes;
  KernelSource kernel;
  Program program;
  Product query, key, value;
  const int heads;      ///< Of a block.
  const bool channels;  ///< Every channel has its own decay,
  const bool ofKeys;    ///< one of K, else of V.
  const int together;   ///< Blocks of 64 tokens between two updates of the state.
  const int keyPanels;
  int output = -1, outputGate = -1;  ///< outputGate: an input over V that is in the output alone.
  std::vector<int> sums;             ///< Outputs that are sums over V.
  Product gate;                      ///< Of `channels`, as is all of these:
  DType gateType = DType::f16;
  int outputMap = 3;          ///< The place of the output among the tensors with maps.
  std::map<int, int> placed;  ///< Where the tile of each input that is loaded lies in a stage.
  std::set<int> swept;        ///< The inputs that a sweep needs.
  int extraBytes = 0;         ///< Of a stage, for inputs that no role takes the place of.
  std::vector<int> states;
  int stageBytes = 0, scoreOffset = 0, outputOffset = 0, factorOffset = 0, slotOffset = 0,
      barrierOffset = 0, normaliserOffset = 0, sumOffset = 0;
  int scoreTiles = 2, scoreBuffers = 2;
  int gateOffset = 0, partOffset = 0, decayOffset = 0;  ///< With `channels`.
};

}  // namespace lathe::cuda
