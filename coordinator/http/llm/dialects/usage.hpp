// The usage of an answer that several tasks have made: the sum of theirs.
#pragma once

#include <string>
#include <vector>

#include "common/core/task.hpp"

namespace edgefleet::coordinator::llm {

class UsageSum {
 public:
  explicit UsageSum(std::size_t parts) : parts_(parts) {}
  void set(std::size_t part, const JsonText& usage) { parts_.at(part) = usage; }
  // An object: of a single task as it came, else the counts and the cost. Empty: a part's usage is unknown.
  [[nodiscard]] JsonText sum() const;

 private:
  std::vector<JsonText> parts_;
};

}  // namespace edgefleet::coordinator::llm
