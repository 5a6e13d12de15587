// Members of an answer whose type is known: absent or null is nothing, and another type fails the answer, so that a
// shape that is not known never becomes an empty success. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

// The elements of a list of choices, each as its text and its members. An index that is missing is the place in the
// list. One choice is asked for, so one of another index than the first fails the answer: its text is not merged.
inline std::vector<std::pair<std::string_view, Members>> pieces_of_choice(const Members& of, std::string_view name,
                                                                          Answer& answer) {
  std::vector<std::pair<std::string_view, Members>> pieces;
  std::int64_t place = 0;
  for (const std::string_view value : list_in(of, name, answer)) {
    auto members = as_object(value, "a choice", answer);
    if (!members || !answer.take_choice(members->count("index").value_or(place++))) return {};
    pieces.emplace_back(value, std::move(*members));
  }
  return pieces;
}

// The members of a piece that are beside the answer, without those that the endpoint writes itself. `known`: what the
// answer consists of.
inline void pass_on(const Members& piece, std::span<const std::string_view> known, Answer& answer) {
  constexpr std::array<std::string_view, 6> of_endpoint = {"id", "object", "created", "model", "usage", "error"};
  for (const auto& [name, value] : piece.all().members()) {
    if (!std::ranges::count(of_endpoint, name) && !std::ranges::count(known, name)) answer.add_member(name, value);
  }
}

}  // namespace edgefleet::agent::llm
