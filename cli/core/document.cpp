#include "cli/core/document.hpp"

#include <algorithm>

#include "cli/core/text.hpp"
#include "cli/core/times.hpp"
#include "common/core/task.hpp"

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
    text += key + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
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

std::string pretty(const Document& value) {
  const auto dumped = value.dump(2, ' ', false, Document::error_handler_t::replace);
  constexpr std::string_view hex = "0123456789abcdef";
  std::string out;
  out.reserve(dumped.size());
  for (std::string_view text = dumped; !text.empty();) {
    const std::size_t control = text.front() == '\n' ? 0 : control_bytes(text);  // those below 0x20 are escaped already
    const auto code = static_cast<unsigned char>(text[std::max<std::size_t>(control, 1) - 1]);
    if (control > 0) {
      out += std::string("\\u00") + hex[code >> 4U] + hex[code & 15U];
    } else {
      out += text.front();
    }
    text.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return out;
}

}  // namespace edgefleet::cli
