// The least that a call costs: bytes that must move, operations that must be done, and the time
// that a GPU needs for them.
#pragma once

#include "compiler/Compile.h"
#include "compiler/cuda/Kernel.h"
#include "tuner/Workload.h"

#include <map>
#include <string>

namespace lathe::tool {

/// Of one token and one head, with as many heads for each input as for the outputs.
struct TokenCost {
  double bytes = 0;      ///< Inputs read once, outputs written once.
  double flop = 0;       ///< Token by token: multiplications and additions, maps counted as one.
  double chunkFlop = 0;  ///< In chunks; 0 without a chunk form.
};

/// Of the forward call in normal form, and of its gradient: the states computed again, the inputs
/// and the gradients of the outputs read, those of the inputs written. In chunks of `chunk` tokens.
/// Throws std::invalid_argument where the signature lacks a dimension.
TokenCost tokenCost(const CompiledVariant& variant, const Signature& signature, int chunk);
TokenCost gradientCost(const CompiledVariant& variant, const Signature& signature, int chunk);

/// Bytes of all states of one batch and head.
double stateBytes(const Plan& plan, const Signature& signature);

/// Which states a call reads and writes.
struct StateTraffic {
  bool isRead = false, isWritten = true;
};

/// Every input, param and initial state read once, every output and final state written once.
/// `heads` holds the inputs that have fewer than the call.
double minBytes(const Plan& plan, const Signature& signature, const Shape& shape,
                const std::map<std::string, int>& heads, StateTraffic states);

/// A GPU of an architecture: what it copies (bytes read plus bytes written) and multiplies (16-bit
/// operands, fp32 sums).
struct Board {
  std::string name, arch;
  double copyGBps = 0, teraflops = 0;
  bool isMeasured = false;  ///< Otherwise by its data sheet.
};

/// Throws std::invalid_argument for an architecture without one.
const Board& boardOf(const std::string& arch);

/// The later of memory and tensor cores, in seconds.
double rooflineSeconds(const Board& board, const Signature& signature, double bytes, double flop);

}  // namespace lathe::tool
