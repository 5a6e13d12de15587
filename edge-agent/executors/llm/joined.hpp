// Members of which each piece of a stream has a part: lists are appended, and so are texts if they are said to be; of
// other values the last one counts. Byte for byte.
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
  enum class Texts { append, replace };
  explicit Joined(Texts texts = Texts::replace) : texts_(texts) {}

  void add(std::string_view name, std::string_view value);
  [[nodiscard]] bool has(std::string_view name) const { return places_.contains(name); }
  [[nodiscard]] bool empty() const { return members_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  void write(json::ObjectWriter& into) const;
  [[nodiscard]] std::string object() const;

 private:
  void join(std::string& whole, std::string_view value) const;

  Texts texts_;
  std::vector<std::pair<std::string, std::string>> members_;  // in their order
  std::map<std::string, std::size_t, std::less<>> places_;    // in `members_`: a back end chooses how many there are
  std::size_t bytes_ = 0;
};

}  // namespace edgefleet::agent::llm
