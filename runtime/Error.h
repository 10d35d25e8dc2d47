// What the runtime throws: what was asked, what went wrong, what would be accepted.
#pragma once

#include <stdexcept>
#include <string>

namespace lathe {

class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// An argument of a call that breaks a rule: the caller's mistake, found before anything was
/// launched.
class ArgumentError : public Error {
public:
  using Error::Error;
};

}  // namespace lathe
