// The options that say which kernel is meant: head dims, dtypes, shape, family, tile, architecture.
#pragma once

#include "compiler/cuda/Space.h"
#include "tuner/Workload.h"

#include <CLI/CLI.hpp>
#include <string>

namespace lathe::tool {

/// As they stand on the command line; empty where they were not given.
struct KernelOptions {
  bool pairedHeads = false;
  std::string variant, dims, dtype, shape, family, tile, arch;

  void addVariant(CLI::App& command);
  void addSignature(CLI::App& command);  ///< --variant, --dims, --dtype
  void addShape(CLI::App& command, bool isRequired);
  void addFamily(CLI::App& command);
  void addTile(CLI::App& command);
  void addArch(CLI::App& command);
};

/// "K=128,V=64"; dimensions that are not named are 128, or what they are derived as. Throws
/// UsageError.
std::map<std::string, int> parseDims(const std::string& text, const Plan& plan);

/// "bf16" or "bf16,g=f32": the dtype of inputs and outputs, and exceptions by name. Params and
/// states are f32 unless named. Throws UsageError.
Signature parseSignature(const KernelOptions& options, const Plan& plan);

/// "8,4096,16": batch, tokens, heads. Throws UsageError.
Shape parseShape(const std::string& text);

/// The family named, else the one that runs `tokens` tokens. Throws UsageError for one that is
/// unknown.
Family parseFamily(const std::string& text, const Plan& plan, long long tokens);
/// For a backward pass. Throws UsageError where one is named.
void refuseFamily(const std::string& text);

/// "c16,b64,v64,s2,k1,x1", the parts that are left out taken from `base`, and "sm_90a" for that
/// form: any text without it means the portable one. Throws UsageError.
Tile parseTile(const std::string& text, const Tile& base);

/// The architecture named, else that of the first GPU, else sm_90a.
std::string archOrDefault(const std::string& arch);

}  // namespace lathe::tool
