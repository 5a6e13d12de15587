// Members of an answer whose type is known: absent or null is nothing, and another type fails the answer, so that a
// shape that is not known never becomes an empty success. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {

inline void fail_type(std::string_view name, const char* wanted, Answer& answer) {
  answer.fail_unknown("`" + std::string(name) + "` that is no " + wanted);
}

inline std::vector<std::string_view> list_in(const Members& of, std::string_view name, Answer& answer) {
  if (!of.has(name)) return {};
  auto all = json::elements(of.at(name));
  if (!all) fail_type(name, "list", answer);
  return std::move(all).value_or(std::vector<std::string_view>{});
}

inline Members object_in(const Members& of, std::string_view name, Answer& answer) {
  Members object = of.object(name);
  if (of.has(name) && !object.is_object()) fail_type(name, "object", answer);
  return object;
}

inline std::string text_in(const Members& of, std::string_view name, Answer& answer) {
  if (of.has(name) && !is_text(of.at(name))) fail_type(name, "text", answer);
  return of.text(name);
}

// An element of a list.
inline std::optional<Members> as_object(std::string_view value, const char* what, Answer& answer) {
  Members object(value);
  if (object.is_object()) return object;
  answer.fail_unknown(std::string(what) + " that is no object");
  return std::nullopt;
}

}  // namespace edgefleet::agent::llm
