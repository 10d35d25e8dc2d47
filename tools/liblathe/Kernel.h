// What lathe_prepare makes: one pass of a variant for a device, dims and dtypes.
#pragma once

#include "tools/liblathe/Request.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lathe::abi {

/// What a launch passes at one place.
struct TensorRule {
  enum class Role {
    input,
    param,
    output,
    initialState,
    finalState,
    cotangent,
    stateCotangent,
    gradient,
    constantGradient,
    stateGradient,
  };

  std::string name;     ///< "q", "initial S", "d.q".
  std::string operand;  ///< In the spec.
  Role role = Role::input;
  DType dtype = DType::f32;
  std::vector<std::string> axes;    ///< "batch", "tokens", "heads", "sequences", and dims.
  std::vector<std::int64_t> sizes;  ///< One for each axis; -1: as the call has it.
  bool isWritten = false, isOptional = false;
};

const char* name(TensorRule::Role role);

/// Thread-safe.
class Kernel {
public:
  virtual ~Kernel() = default;

  /// lathe_workspace, lathe_launch: the size and pointers of the struct itself are checked, nothing
  /// else is. Throw Failure, Error, std::invalid_argument.
  virtual std::size_t workspaceBytes(const lathe_call& call) const = 0;
  virtual void launch(const lathe_call& call, void* stream) const = 0;

  std::vector<TensorRule> tensors;
  std::vector<std::pair<std::string, double>> constants;  ///< And their defaults.
  std::string family;
  const char* origin = "compiled";
};

/// A kernel, and how it was chosen.
struct Prepared {
  std::shared_ptr<const Kernel> kernel;
  std::string tile;
  const char* choice = "model";
};

/// Chooses (tuning first where the mode is TUNE) and makes a kernel, or finds it among those that
/// are held. Throw Failure, Error.
Prepared prepareCpu(const std::shared_ptr<const Variant>& variant, const Request& request,
                    lathe_tuning tuning);
Prepared prepareCuda(const std::shared_ptr<const Variant>& variant, const Request& request,
                     lathe_tuning tuning);
Prepared prepareCudaBackward(const std::shared_ptr<const Variant>& variant, const Request& request,
                             lathe_tuning tuning);

/// Held while something is measured: two at once would disturb each other.
std::mutex& measuring();

/// What makes kernels equal, beside the text of their choice.
std::string keyOf(const Variant& variant, const Request& request);

/// lathe_kernel_json
std::string describe(const Variant& variant, const Request& request, const Prepared& prepared);

/// Defaults of the consts of a plan, in its order.
std::vector<std::pair<std::string, double>> defaultsOf(const Plan& plan,
                                                       const Signature& signature);

}  // namespace lathe::abi
