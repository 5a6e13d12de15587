#include "cli/core/document.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "cli/core/text.hpp"
#include "cli/core/times.hpp"
#include "common/core/task.hpp"
#include "common/core/utf8.hpp"
#include "common/core/where.hpp"

namespace edgefleet::cli {

std::optional<Document> parse_document(std::string_view text) {
  auto document = Document::parse(text, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  return document;
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

}  // namespace

std::string pretty(const Document& value) {
  const auto dumped = value.dump(2, ' ', false, Document::error_handler_t::replace);
  std::string out;
  out.reserve(dumped.size());
  for (std::string_view text = dumped; !text.empty();) {
    const std::size_t control = text.front() == '\n' ? 0 : control_bytes(text);  // those below 0x20 are escaped already
    out += control > 0 ? escaped(text.substr(0, control)) : text.substr(0, 1);
    text.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return out;
}

}  // namespace edgefleet::cli
