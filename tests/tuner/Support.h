// A plan that has kernels, written by hand so that no compiler is needed, and a GPU on paper.
#pragma once

#include "tests/cache/Support.h"
#include "tuner/Tuner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

namespace lathe::test {

/// retnet without its scale: input q[K], k[K], v[V]; param gamma in log; state S[K, V];
/// S <- exp(gamma) * S + k * v; output o[V] = q @ S.
inline Plan retentionPlan() {
  using Kind = Operand::Kind;
  Plan plan;
  plan.variant = "retention";
  plan.dims = {"K", "V"};
  auto operand = [&](Kind kind, const char* name, std::vector<std::string> dims, bool log = false) {
    Operand result;
    result.kind = kind;
    result.name = name;
    result.dims = std::move(dims);
    result.log = log;
    plan.operands.push_back(result);
  };
  operand(Kind::input, "q", {"K"});
  operand(Kind::input, "k", {"K"});
  operand(Kind::input, "v", {"V"});
  operand(Kind::param, "gamma", {}, true);
  operand(Kind::output, "o", {"V"});
  operand(Kind::state, "S", {"K", "V"});
  auto node = [&](Node::Kind kind, std::vector<std::string> dims, int of) {
    Node result;
    result.kind = kind;
    result.dims = std::move(dims);
    result.operand = of;
    plan.nodes.push_back(result);
  };
  node(Node::Kind::operand, {"K"}, 0);
  node(Node::Kind::operand, {"K"}, 1);
  node(Node::Kind::operand, {"V"}, 2);
  node(Node::Kind::operand, {}, 3);
  node(Node::Kind::affine, {"K", "V"}, -1);
  plan.nodes[4].affine = 0;
  node(Node::Kind::contract, {"V"}, -1);
  plan.nodes[5].args = {0, 4};
  plan.nodes[5].name = "K";
  plan.operands[4].value = 5;
  plan.operands[5].value = 4;
  Recurrence recurrence;
  recurrence.state = 5;
  recurrence.logDecays = {3};
  recurrence.outer = {{1, 2}};
  plan.recurrences = {recurrence};
  ScanForm scan;
  scan.keyDim = "K";
  scan.valueDim = "V";
  scan.state = 5;
  scan.query = 0;
  scan.key = 1;
  scan.value = 2;
  scan.logDecay = 3;
  scan.decay = DecayKind::scalar;
  scan.read = 5;
  plan.scan = scan;
  return plan;
}

inline Signature signatureOf(const Plan& plan, DType dtype = DType::bf16, int K = 64, int V = 64) {
  Signature signature;
  signature.dims = {{"K", K}, {"V", V}};
  signature.compute = dtype;
  for (const Operand& operand : plan.operands)
    signature.dtypes.push_back(
        operand.kind == Operand::Kind::param || operand.kind == Operand::Kind::state ? DType::f32
                                                                                     : dtype);
  return signature;
}

inline DeviceInfo paperGpu(const std::string& name = "NVIDIA H200") {
  DeviceInfo gpu;
  gpu.name = name;
  gpu.limits = knownDevice("sm_90a");
  gpu.driverVersion = 12080;
  return gpu;
}

/// A problem with the folder that its results lie in.
struct TunerTest : testing::Test {
  Plan plan = retentionPlan();
  Problem problem{&plan, Family::scan, signatureOf(plan), {2, 1024, 16}};
  DeviceInfo gpu = paperGpu();
  Folder folder;

  Problem withShape(std::int64_t batch, std::int64_t tokens, std::int64_t heads) const {
    Problem other = problem;
    other.shape = {batch, tokens, heads};
    return other;
  }

  /// The `nth` tile of the model, as if it had been found right and fast.
  Trial trialOf(int nth, double microseconds = 10) const {
    Trial trial;
    trial.tile = candidates(plan, problem.family, problem.signature, gpu.limits, 32).tiles.at(nth);
    trial.outcome = Trial::Outcome::winner;
    trial.microseconds = microseconds;
    trial.mad = 0.5;
    trial.error = 0.001;
    trial.source = sourceDigest(emit(plan, problem.family, problem.signature, trial.tile));
    return trial;
  }

  static TuningResult resultOf(const Trial& winner) {
    return {winner.tile, winner.microseconds, winner.mad, {winner}, 1};
  }
};

}  // namespace lathe::test
