// What went wrong, as the ABI says it: a status, and a text for this thread.
#pragma once

#include "lathe/lathe.h"

#include <stdexcept>
#include <string>

namespace lathe::abi {

/// A failure whose status is known where it is thrown.
class Failure : public std::runtime_error {
public:
  Failure(lathe_status status, const std::string& text)
      : std::runtime_error(text), status(status) {}

  lathe_status status;
};

/// Throws Failure with LATHE_ERROR_ARGUMENT.
[[noreturn]] void reject(const std::string& text);

/// Keeps the text of the exception that is being handled for `lastError`; its status.
lathe_status keepException() noexcept;

/// The text that was kept last on this thread.
const char* lastError() noexcept;

/// Runs the body of a function of the ABI: nothing that it throws gets out.
template <typename Body> lathe_status guarded(const Body& body) noexcept {
  try {
    body();
    return LATHE_OK;
  } catch (...) {
    return keepException();
  }
}

}  // namespace lathe::abi
