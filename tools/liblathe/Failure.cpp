#include "tools/liblathe/Failure.h"

#include "runtime/Error.h"

#include <new>

namespace lathe::abi {

namespace {

thread_local std::string storage;
thread_local const char* kept = "";

lathe_status keep(lathe_status status, const char* text) noexcept {
  try {
    storage = text;
    kept = storage.c_str();
  } catch (const std::bad_alloc&) {
    kept = "out of memory, and so is the text of an error";
  }
  return status;
}

}  // namespace

void reject(const std::string& text) { throw Failure(LATHE_ERROR_ARGUMENT, text); }

lathe_status keepException() noexcept {
  try {
    throw;
  } catch (const Failure& failure) {
    return keep(failure.status, failure.what());
  } catch (const ArgumentError& error) {
    return keep(LATHE_ERROR_ARGUMENT, error.what());
  } catch (const std::invalid_argument& error) {
    return keep(LATHE_ERROR_ARGUMENT, error.what());
  } catch (const Error& error) {
    return keep(LATHE_ERROR_DEVICE, error.what());
  } catch (const std::bad_alloc&) {
    return keep(LATHE_ERROR_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return keep(LATHE_ERROR_INTERNAL, error.what());
  } catch (...) {
    return keep(LATHE_ERROR_INTERNAL, "an exception of an unknown kind");
  }
}

const char* lastError() noexcept { return kept; }

}  // namespace lathe::abi
