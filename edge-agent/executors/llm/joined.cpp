#include "edge-agent/executors/llm/joined.hpp"

namespace edgefleet::agent::llm {
namespace {

bool enclosed(std::string_view value, char first, char last) {
  return value.size() >= 2 && value.front() == first && value.back() == last;
}

std::string_view inside(std::string_view value) { return value.substr(1, value.size() - 2); }

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

void append_list(std::string& whole, std::string_view more) {
  if (blank(inside(more))) return;
  const bool first = blank(inside(whole));
  whole.pop_back();
  if (!first) whole += ',';
  (whole += inside(more)) += ']';
}

void append_text(std::string& whole, std::string_view more) {
  whole.pop_back();
  (whole += inside(more)) += '"';
}

}  // namespace

void Joined::join(std::string& whole, std::string_view value) const {
  const auto both = [&](char first, char last) { return enclosed(whole, first, last) && enclosed(value, first, last); };
  if (parts_ != Parts::none && both('[', ']')) return append_list(whole, value);
  if (parts_ == Parts::lists_and_texts && both('"', '"')) return append_text(whole, value);
  if (value != "null") whole = value;
}

void Joined::add(std::string_view name, std::string_view value) {
  const auto found = places_.find(name);
  if (found == places_.end()) {
    places_.emplace(name, members_.size());
    members_.emplace_back(name, value);
    bytes_ += 2 * name.size() + value.size() + sizeof(members_.front()) + sizeof(*places_.begin());
    return;
  }
  std::string& whole = members_[found->second].second;
  const auto before = whole.size();
  join(whole, value);
  bytes_ += whole.size() - before;
}

void Joined::write(json::ObjectWriter& into) const {
  for (const auto& [name, value] : members_) into.raw(name, value);
}

std::string Joined::object() const {
  std::string out;
  {
    json::ObjectWriter writer(out);
    write(writer);
  }
  return out;
}

}  // namespace edgefleet::agent::llm
