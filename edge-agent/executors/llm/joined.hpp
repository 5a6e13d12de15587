// Members that several pieces of a stream have: of which values each piece has a part is said; these are appended, and
// of other values the last one counts. Byte for byte.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/protocol/json.hpp"

namespace edgefleet::agent::llm {

class Joined {
 public:
  enum class Parts { none, lists, lists_and_texts };
  explicit Joined(Parts parts = Parts::lists) : parts_(parts) {}

  void add(std::string_view name, std::string_view value);
  [[nodiscard]] bool has(std::string_view name) const { return places_.contains(name); }
  [[nodiscard]] bool empty() const { return members_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  void write(json::ObjectWriter& into) const;
  [[nodiscard]] std::string object() const;

 private:
  void join(std::string& whole, std::string_view value) const;

  Parts parts_;
  std::vector<std::pair<std::string, std::string>> members_;  // in their order
  std::map<std::string, std::size_t, std::less<>> places_;    // in `members_`: a back end chooses how many there are
  std::size_t bytes_ = 0;
};

}  // namespace edgefleet::agent::llm
