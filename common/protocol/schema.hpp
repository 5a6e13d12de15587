// The input of a capability, described by a subset of JSON Schema: type, properties, required, additionalProperties,
// items, enum, minimum, maximum, minLength and maxLength. Other keywords are ignored. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::protocol {

inline constexpr std::size_t most_schema_bytes = 8 * 1024;

class Schema {
 public:
  // `text`: any text. An error names the keyword that is malformed.
  static Result<Schema> compile(std::string_view text);

  // `input`: well formed. An error, of kind invalid, names the place and what is allowed there. A null input is checked
  // as an object without members, if the schema describes an object.
  [[nodiscard]] Status check(std::string_view input) const;

 private:
  struct Node;
  class Compiler;
  class Checker;

  explicit Schema(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  std::shared_ptr<const Node> root_;
};

}  // namespace edgefleet::protocol
