// Expected failure as a value. Exceptions of libraries stop at the adapter that calls them.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/core/time.hpp"

namespace edgefleet {

// The kind of a failure: the HTTP API derives a status from it, an executor whether to retry.
enum class ErrorKind {
  invalid,      // the request is wrong; a retry does not help
  unsupported,  // the request is valid, but this program or back end cannot do it
  forbidden,    // whoever asks may not do it
  not_found,
  conflict,
  too_large,    // over a bound on size
  busy,         // over a bound on number; try again later
  used_up,      // a budget; try again when it begins anew
  full,         // no space to store it
  unavailable,  // a dependency cannot be reached for now
  internal,
};

// What failed, where, and how to fix it; `context` prepends the outer operation on the way up.
struct Error {
  std::string message;
  ErrorKind kind = ErrorKind::internal;
  std::optional<Duration> retry_after{};  // earlier it is of no use

  [[nodiscard]] Error context(const std::string& where) const {
    return Error{where + ": " + message, kind, retry_after};
  }
};

inline Error invalid(std::string message) { return Error{std::move(message), ErrorKind::invalid}; }
inline Error unsupported(std::string message) { return Error{std::move(message), ErrorKind::unsupported}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}           // NOLINT: implicit on purpose
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}       // NOLINT: implicit on purpose

  [[nodiscard]] bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only when ok().
  [[nodiscard]] T& value() & { return std::get<0>(content_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(content_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(content_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

  // Only when not ok().
  [[nodiscard]] const Error& error() const { return std::get<1>(content_); }

 private:
  std::variant<T, Error> content_;
};

struct Nothing {};
using Status = Result<Nothing>;
inline Status success() { return Nothing{}; }

}  // namespace edgefleet
