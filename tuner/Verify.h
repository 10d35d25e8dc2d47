// A kernel against the interpreter: no tile is chosen that was not found right on this GPU.
#pragma once

#include "runtime/Prepare.h"
#include "tuner/Tuner.h"

#include <string>
#include <vector>

namespace lathe {

/// The largest RMS(found - expected) / RMS(expected) of an output or state that counts as right:
/// 0.001 where tensor cores take fp32 inputs (as tf32) and the tensor is fp32, 0.005 for bf16 under
/// a decay of every channel, 0.004 otherwise. Of gradients ("d.x") 0.02 for those of params,
/// consts, log-decays and scalars, 0.008 for others; 0.002 where all is fp32.
double tolerance(const Plan& plan, const Signature& signature, const std::string& tensor);

struct Verdict {
  bool passed = true;
  double error = 0;    ///< The largest ratio of all tensors.
  std::string reason;  ///< Of a failure: the tensor, its ratio and its limit.
};

/// Tensors of which nothing is left but what fp32 may lose, numbers below 1e-30, count as equal.
Verdict judge(const Plan& plan, const Signature& signature, const HostResult& found,
              const HostResult& expected);

/// Whether two results are the same to the bit.
bool identical(const HostResult& a, const HostResult& b);

/// Launches a kernel twice on a stream of its own, the outputs poisoned before each.
struct TwoRuns {
  HostResult first, second;
};
TwoRuns runTwice(const PreparedKernel& kernel, DeviceCall& call);

/// The calls that every candidate must get right: a small one, one of awkward sizes (no multiple of
/// any chunk, grouped heads, [B,H,T,D], an initial state), one with strong gates and repeated keys,
/// one of packed sequences. The oracle runs once, in the constructor.
class Verifier {
public:
  Verifier(const Problem& problem, int gpu, const Oracle& oracle);

  /// Every call, twice, which must agree to the bit. Throws Error for what the kernel did wrong.
  Verdict check(const PreparedKernel& kernel);

private:
  struct Case {
    const char* name;
    DeviceCall call;
    HostResult expected;
  };

  const Plan plan;
  const Signature signature;
  std::vector<Case> cases;
};

}  // namespace lathe
