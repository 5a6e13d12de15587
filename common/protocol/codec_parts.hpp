// What the decoders and encoders of several messages share. Included by the codec's own files only.
#pragma once

#include <array>

#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::protocol {

using json::ArrayWriter;
using json::Fields;
using json::ObjectWriter;

inline constexpr int most_attempts = 1'000'000;
// The largest range that every JSON reader represents exactly.
inline constexpr std::uint64_t most_epochs = std::uint64_t{1} << 53U;

template <typename Enum, std::size_t N>
std::optional<Enum> read_word(Fields& fields, std::string_view name, const std::array<std::string_view, N>& words) {
  if (!fields.require(name)) return std::nullopt;
  const auto text = fields.string(name);
  for (std::size_t i = 0; text && i < N; ++i) {
    if (words[i] == *text) return static_cast<Enum>(i);
  }
  fields.fail("`" + std::string(name) + "` is not one of the known values");
  return std::nullopt;
}

inline SessionId read_session(Fields& fields, std::string_view name = "session") {
  fields.require(name);
  return fields.name<SessionId>(name, "1 to 64 of letters, digits, '-' and '_'").value_or(SessionId{});
}

inline std::uint64_t read_epoch(Fields& fields) {
  const auto epoch = fields.unsigned_integer("epoch").value_or(0);
  if (epoch > most_epochs) fields.fail("`epoch` is out of range");
  return epoch;
}

inline Reign read_reign(Fields& fields) {
  fields.require("epoch");
  return Reign{read_epoch(fields), read_session(fields)};
}

inline void write_reign(ObjectWriter& object, const Reign& reign) {
  object.unsigned_integer("epoch", reign.epoch);
  object.string("session", reign.session.str());
}

inline TaskId read_id(Fields& fields) {
  fields.require("id");
  const auto text = fields.string("id");
  const auto id = TaskId::parse(text.value_or(""));
  if (text && !id) fields.fail("`id` is not a ULID");
  return id.value_or(TaskId{});
}

inline int read_attempt(Fields& fields) {
  fields.require("attempt");
  return static_cast<int>(fields.integer("attempt", 1, most_attempts).value_or(1));
}

template <typename T>
Result<T> finish(Fields& fields, T value) {
  if (!fields.ok()) return fields.error();
  return value;
}

// Decodes each element of the array `name` separately.
template <typename T, typename Decode>
Elements<T> read_elements(Fields& fields, std::string_view name, Decode decode,
                          std::size_t most = limits::message_elements) {
  Elements<T> all;
  fields.require(name);
  std::size_t index = 0;
  for (const auto slice : fields.array(name)) {
    if (index >= most) {
      all.bad.push_back("element " + std::to_string(index) + " and later: more than " + std::to_string(most));
      break;
    }
    Fields element(slice);
    T value = decode(element);
    if (element.ok()) {
      all.good.push_back(std::move(value));
    } else {
      all.bad.push_back("element " + std::to_string(index) + ": " + element.error().message);
    }
    ++index;
  }
  return all;
}

// Adds elements to the open array until a bound is reached; at least one, so that the caller makes progress.
template <typename T, typename Write>
void write_elements(std::string& out, const std::vector<T>& elements, std::size_t& first, std::size_t most_bytes,
                    Write write) {
  ArrayWriter array(out);
  const std::size_t start = first;
  while (first < elements.size() && first - start < limits::message_elements) {
    std::string text;
    write(text, elements[first]);
    if (first > start && out.size() + text.size() + limits::envelope_bytes > most_bytes) break;
    array.next() += text;
    ++first;
  }
}

}  // namespace edgefleet::protocol
