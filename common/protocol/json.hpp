// Reads and writes JSON without a tree. A task's input and output are carried as the received text (which keeps the
// order of keys and the precision of numbers), so messages are split into slices of their text. Every reader below
// takes text that `well_formed` has accepted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgefleet::json {

// Levels of nesting; deeper text is refused, so that no recursion overflows a stack. A task's input or output may
// have `deepest_part` of them, so that every message that contains it keeps within `deepest`.
inline constexpr int deepest = 72;
inline constexpr int deepest_part = 64;

// Elements or members of one value that are taken apart; a value with more is refused, since each costs more memory
// than text. A message of the largest size cannot have more.
inline constexpr std::size_t most_parts = 128 * 1024;
// The names of an object that is taken apart: they are copies.
inline constexpr std::size_t most_name_bytes = 1024 * 1024;

// The place after the string that begins at `quote`, in well-formed text: after the next quote that an even number of
// backslashes precedes.
std::size_t after_string(std::string_view text, std::size_t quote);

// One JSON value, valid UTF-8, nested at most `deepest` levels.
bool well_formed(std::string_view text);
// At most `deepest_part` levels.
bool part_is_shallow(std::string_view text);

// The members of an object as slices; of equal keys the last one counts.
class Object {
 public:
  // No value: it is not an object, or has more than `most_parts` members, or longer names than `most_name_bytes`.
  static std::optional<Object> read(std::string_view text);
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string_view>>& members() const { return members_; }

 private:
  std::vector<std::pair<std::string, std::string_view>> members_;
};

// No value: it is not an array, or has more than `most_parts` elements.
std::optional<std::vector<std::string_view>> elements(std::string_view array);
std::optional<std::string> as_string(std::string_view value);
std::optional<std::int64_t> as_integer(std::string_view value);
std::optional<std::uint64_t> as_unsigned(std::string_view value);
std::optional<double> as_number(std::string_view value);
std::optional<bool> as_bool(std::string_view value);

// The object as text without these members, and with another value of one member (at its place, or as the last one).
// Everything else stays byte for byte: the order of keys, the digits of numbers.
std::string without(const Object& object, const std::vector<std::string_view>& names);
std::string with(const Object& object, std::string_view name, std::string_view value);

// Appends `text` as a JSON string; invalid UTF-8 is replaced.
void append_quoted(std::string& out, std::string_view text);
std::string quoted(std::string_view text);

// Writes one object or array by appending; closes it when destroyed.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;
  ObjectWriter(ObjectWriter&&) = delete;
  ObjectWriter& operator=(ObjectWriter&&) = delete;
  ~ObjectWriter() { out_ += '}'; }

  std::string& key(std::string_view name);  // then append the value to what it returns
  void raw(std::string_view name, std::string_view json) { key(name) += json; }
  void string(std::string_view name, std::string_view text) { append_quoted(key(name), text); }
  void strings(std::string_view name, const std::vector<std::string>& all);  // an array
  void integer(std::string_view name, std::int64_t value) { key(name) += std::to_string(value); }
  void unsigned_integer(std::string_view name, std::uint64_t value) { key(name) += std::to_string(value); }
  void number(std::string_view name, double value);
  void boolean(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }

 private:
  std::string& out_;
  bool first_ = true;
};

class ArrayWriter {
 public:
  explicit ArrayWriter(std::string& out) : out_(out) { out_ += '['; }
  ArrayWriter(const ArrayWriter&) = delete;
  ArrayWriter& operator=(const ArrayWriter&) = delete;
  ArrayWriter(ArrayWriter&&) = delete;
  ArrayWriter& operator=(ArrayWriter&&) = delete;
  ~ArrayWriter() { out_ += ']'; }

  std::string& next();  // then append the element to what it returns
  void string(std::string_view text) { append_quoted(next(), text); }
  void number(double value);

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace edgefleet::json
