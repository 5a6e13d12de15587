#include "cli/core/document.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>
#include <vector>

#include "cli/core/text.hpp"
#include "cli/core/times.hpp"
#include "common/core/task.hpp"
#include "common/core/utf8.hpp"
#include "common/core/where.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {

namespace {

Document value_of(std::string_view text);

Document object_of(const json::Object& members) {
  auto object = Document::object();
  for (const auto& [name, value] : members.members()) object[name] = value_of(value);
  return object;
}

Document list_of(const std::vector<std::string_view>& elements) {
  auto list = Document::array();
  for (const auto element : elements) list.push_back(value_of(element));
  return list;
}

// What this program has no type for (a number too large for a double, a list that is too long) is kept as its text.
Document value_of(std::string_view text) {
  if (const auto members = json::Object::read(text)) return object_of(*members);
  if (const auto elements = json::elements(text)) return list_of(*elements);
  if (const auto string = json::as_string(text)) return *string;
  if (const auto flag = json::as_bool(text)) return *flag;
  if (const auto number = json::as_unsigned(text)) return *number;
  if (const auto number = json::as_integer(text)) return *number;
  if (const auto number = json::as_number(text)) return *number;
  return text == "null" ? Document() : Document(std::string(text));
}

}  // namespace

std::optional<Document> parse_document(std::string_view text) {
  const auto members = json::well_formed(text) ? json::Object::read(text) : std::nullopt;
  return members ? std::optional(object_of(*members)) : std::nullopt;
}

std::string_view text_of_member(std::string_view object, std::string_view key) {
  const auto members = json::well_formed(object) ? json::Object::read(object) : std::nullopt;
  return members ? members->find(key).value_or("") : "";
}

const Document& member_of(const Document& object, const char* key) {
  static const Document nothing;
  if (!object.is_object()) return nothing;
  const auto member = object.find(key);
  return member == object.end() ? nothing : *member;
}

std::string text_of(const Document& object, const char* key) {
  const auto& member = member_of(object, key);
  return member.is_string() ? member.get<std::string>() : std::string();
}

std::optional<double> number_of(const Document& object, const char* key) {
  const auto& member = member_of(object, key);
  if (!member.is_number()) return std::nullopt;
  return member.get<double>();
}

std::uint64_t count_of(const Document& object, const char* key) {
  const auto& member = member_of(object, key);
  return member.is_number_unsigned() ? member.get<std::uint64_t>() : 0;
}

bool flag_of(const Document& object, const char* key) {
  const auto& member = member_of(object, key);
  return member.is_boolean() && member.get<bool>();
}

std::optional<WallTime> instant_of(const Document& object, const char* key) {
  return parse_instant(text_of(object, key));
}

std::string pairs_of(const Document& object) {
  std::string text;
  if (!object.is_object()) return text;
  for (const auto& [key, value] : object.items()) {
    if (!text.empty()) text += ' ';
    text += show_condition(key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

bool ended_state(std::string_view state) {
  const auto known = parse_task_state(state);
  return known && ended(*known);
}

BatchCounts batch_counts(const Document& batch) {
  const auto& counts = member_of(batch, "counts");
  BatchCounts result;
  result.total = count_of(batch, "total");
  result.running = count_of(counts, "assigned") + count_of(counts, "running") + count_of(counts, "cancelling");
  result.succeeded = count_of(counts, "succeeded");
  result.failed = count_of(counts, "failed");
  result.cancelled = count_of(counts, "cancelled");
  result.expired = count_of(counts, "expired");
  result.purged = count_of(batch, "purged");
  return result;
}

namespace {

// "\\u202e", of a character of at most three bytes.
std::string escaped(std::string_view character) {
  unsigned code = static_cast<unsigned char>(character.front()) & (character.size() == 3 ? 0x0FU : 0x7FU);
  if (character.size() == 2) code &= 0x1FU;
  for (const char c : character.substr(1)) code = code << 6U | (static_cast<unsigned char>(c) & 0x3FU);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "\\u%04x", code & 0xFFFFU);
  return text.data();
}

class Indenter {
 public:
  std::string run(std::string_view json) {
    for (std::size_t at = 0; at < json.size();) at += quoted_ ? in_string(json.substr(at)) : between(json[at]);
    return std::move(out_);
  }

 private:
  // Both return the number of bytes that they took.
  std::size_t in_string(std::string_view rest) {
    if (const auto control = control_bytes(rest); control > 0) {
      out_ += escaped(rest.substr(0, control));
      return control;
    }
    const std::size_t length = rest.starts_with('\\') ? 2 : 1;
    quoted_ = rest.front() != '"';
    out_ += rest.substr(0, length);
    return length;
  }
  std::size_t between(char c) {
    if (std::string_view(" \t\r\n").find(c) != std::string_view::npos) return 1;
    if (c == '}' || c == ']') {
      --depth_;
      if (!std::exchange(empty_, false)) new_line();
    } else if (std::exchange(empty_, false)) {
      new_line();
    }
    out_ += c;
    quoted_ = c == '"';
    if (c == ':') out_ += ' ';
    if (c == ',') new_line();
    if (c == '{' || c == '[') {
      ++depth_;
      empty_ = true;
    }
    return 1;
  }
  void new_line() { out_.append("\n").append(2 * depth_, ' '); }

  std::string out_;
  std::size_t depth_ = 0;
  bool quoted_ = false;
  bool empty_ = false;  // the innermost object or array, up to here
};

}  // namespace

std::string pretty(std::string_view json) { return Indenter().run(json); }

}  // namespace edgefleet::cli
