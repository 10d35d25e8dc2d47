// The emitters of the kernel families, and what they share.
#pragma once

#include "compiler/cuda/Program.h"

#include <optional>

namespace lathe::cuda {

KernelSource emitScan(const Plan& plan, const Signature& signature, const Tile& tile);

/// What a scan is of two, one from each end, each with a plan of its own (PairedScans.h).
struct ScanPart {
  bool isPair = false, isReverse = false;
  /// The input that stands for what the other one has written, and the output where it is.
  int written = -1, output = -1;
};

/// A kernel of the scan family but for what is around the Variant.
struct ScanSource {
  KernelSource kernel;
  std::vector<std::string> templates;
  Text variant;
  std::string type;       ///< "HopperScan": what runs it.
  std::string arguments;  ///< What that is made from: "args, shared".
};
ScanSource emitPortableScan(const Plan& plan, const Signature& signature, const Tile& tile,
                            const ScanPart& part = {});
/// The form that only sm_90a runs.
ScanSource emitHopperScan(const Plan& plan, const Signature& signature, const Tile& tile,
                          const ScanPart& part = {});
/// The form of step and sequential that runs any plan.
KernelSource emitGeneral(const Plan& plan, Family family, const Signature& signature,
                         const Tile& tile);
KernelSource emitTokens(const Plan& plan, Family family, const Signature& signature,
                        const Tile& tile);

/// All tokens of a program without vectors, whose states are sums from the last token to the first:
/// one that others read, and totals. Of the first the initial value counts, and the final one is
/// read rather than written: it says what the sum must come to. Throws std::invalid_argument for
/// others.
KernelSource emitScalars(const Plan& plan, const Signature& signature);

/// Its tiles for a device with so much shared memory a block, and the numbers of states that a
/// thread holds.
std::vector<Tile> generalTiles(const Plan& plan, Family family, const Signature& signature,
                               std::size_t sharedBytes);
int generalHeld(const Plan& plan, const Signature& signature, const Tile& tile);

/// The key and value dimension of the sequential program, or the sentence that says why only
/// the general form runs it.
struct TokenAxes {
  Axes axes;
  std::string refusal;
};
TokenAxes tokenAxes(const Plan& plan, const Analysis& analysis);

/// What templates/kernels/decay.cuh calls the decay of a scan.
const char* decayName(const ScanForm& form);

/// Throws std::invalid_argument unless the signature has every dimension (1 to 256) and one dtype
/// for each operand.
void checkSignature(const Plan& plan, const Signature& signature);

/// The list of tensors of a kernel's argument: all inputs, params and outputs in the plan's order,
/// then each state's initial and final value.
std::vector<KernelSource::Slot> tensorSlots(const Plan& plan);
/// Of both scans the same.
std::vector<KernelSource::Slot> tensorSlots(const Plan& plan, const ScanPart& part);
int tensorIndex(const std::vector<KernelSource::Slot>& slots, int operand, const ScanPart& part);
int tensorIndex(const std::vector<KernelSource::Slot>& slots, int operand,
                KernelSource::Slot::Role role = KernelSource::Slot::Role::operand);
std::vector<int> constantOperands(const Plan& plan);
/// The place of a `const` among the constants of a kernel.
int constantIndex(const KernelSource& kernel, int operand);

/// Hands out aligned stretches of shared memory.
class SharedLayout {
public:
  int take(std::size_t bytes) {
    int offset = int(used);
    used += (bytes + 15) / 16 * 16;
    return offset;
  }
  std::size_t size() const { return used; }

private:
  std::size_t used = 0;
};

/// `template <int I> struct NAME` with the type of the I-th of these operands.
void writeNumberedTypes(Text& text, const char* name, const Signature& signature,
                        const std::vector<int>& operands);
/// Where a scan finds the initial and final values of its states, and an element [key, value] in
/// one of them; `keyFirst`: the key's axis comes first in memory.
void writeStateAccess(Text& text, const std::vector<KernelSource::Slot>& slots,
                      const std::vector<int>& states, bool keyFirst);
void writeOutputAccess(Text& text, const std::vector<KernelSource::Slot>& slots,
                       const std::vector<int>& outputs);

/// " / 2 * 1": what makes blocks of heads, in a launch without segments.
std::string gridFactor(const KernelSource& kernel);

/// Everything before and after the Variant: the device templates, Args, the kernel template and the
/// `extern "C"` entry that calls `call`.
std::string assemble(const Plan& plan, const KernelSource& kernel,
                     const std::vector<std::string>& templates, const Text& variant,
                     const std::string& call, int minBlocks);

/// One of the files of templates/, by its path.
/// The text of a kernel of no plan: it makes `call` of the one template.
std::string textOf(const KernelSource& kernel, const std::string& path, const std::string& call);

/// "lathe_scan_gla"
std::string entryName(const Plan& plan, Family family);

}  // namespace lathe::cuda
