// Members of untrusted JSON as slices of its text: values that only pass by keep the order of their keys and the digits
// of their numbers. A member of a wrong type counts as absent.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/protocol/json.hpp"

namespace edgefleet::agent::llm {

inline bool is_object(std::string_view value) { return value.starts_with('{'); }
inline bool is_list(std::string_view value) { return value.starts_with('['); }
inline bool is_text(std::string_view value) { return value.starts_with('"'); }
inline std::string text_of(std::string_view value) { return json::as_string(value).value_or(""); }
inline std::vector<std::string_view> list_of(std::string_view value) {
  return json::elements(value).value_or(std::vector<std::string_view>{});
}

class Members {
 public:
  // `value`: a slice of well-formed text. One that is no object has no members.
  explicit Members(std::string_view value) {
    auto read = json::Object::read(value);
    is_object_ = read.has_value();
    if (read) object_ = std::move(*read);
  }

  // False: another value, or an object with more members than can be read.
  [[nodiscard]] bool is_object() const { return is_object_; }

  [[nodiscard]] std::string_view at(std::string_view key) const { return object_.find(key).value_or("null"); }
  [[nodiscard]] bool has(std::string_view key) const { return at(key) != "null"; }
  [[nodiscard]] Members object(std::string_view key) const { return Members(at(key)); }
  [[nodiscard]] std::string text(std::string_view key) const { return text_of(at(key)); }
  [[nodiscard]] std::vector<std::string_view> list(std::string_view key) const { return list_of(at(key)); }
  [[nodiscard]] std::optional<double> number(std::string_view key) const { return json::as_number(at(key)); }
  // A number that counts something: not negative, also if it is written as 5.0.
  [[nodiscard]] std::optional<std::int64_t> count(std::string_view key) const {
    const auto value = number(key);
    if (!value || *value > 9e15) return std::nullopt;
    return *value < 0 ? 0 : std::llround(*value);
  }
  [[nodiscard]] const json::Object& all() const { return object_; }

 private:
  json::Object object_;
  bool is_object_ = false;
};

}  // namespace edgefleet::agent::llm
