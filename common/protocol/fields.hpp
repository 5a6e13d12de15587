// Typed access to the members of an object, for decoders: the first invalid field is recorded, with its name.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "common/core/nearest.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/decimal.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::json {

class Fields {
 public:
  // `text`: well formed.
  explicit Fields(std::string_view text) : object_(Object::read(text)) {
    if (!object_) fail("is not a JSON object" + too_many(text, '{'));
  }
  // Checks the syntax first: for text from outside.
  static Fields untrusted(std::string_view text) {
    if (well_formed(text)) return Fields(text);
    Fields bad("{}");
    bad.fail("is not valid JSON (UTF-8, at most 72 levels deep)");
    return bad;
  }

  [[nodiscard]] bool ok() const { return problem_.empty(); }
  [[nodiscard]] Error error() const { return Error{problem_, ErrorKind::invalid}; }
  void fail(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }
  [[nodiscard]] const Object& object() const { return *object_; }

  // A member of another name is a mistake: it would be ignored otherwise.
  void allow(const std::vector<std::string>& names) {
    if (!object_) return;
    for (const auto& [name, value] : object_->members()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const auto near = nearest(name, names);
      return fail("`" + std::string(cut_front(name, 64)) + "` is not a field" +
                  (near ? "; did you mean `" + *near + "`?" : ""));
    }
  }

  // Present and not null.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const {
    if (!object_) return std::nullopt;
    const auto value = object_->find(name);
    return value == "null" ? std::nullopt : value;
  }
  bool require(std::string_view name) {
    if (find(name)) return true;
    fail("`" + std::string(name) + "` is missing");
    return false;
  }

  std::optional<std::string> string(std::string_view name, std::size_t most = 4096) {
    const bool may_fit = find(name).value_or("").size() <= most_text(most);
    auto text = may_fit ? read<std::string>(name, as_string, "a string") : std::nullopt;
    if (may_fit && (!text || text->size() <= most)) return text;
    fail("`" + std::string(name) + "` is longer than " + std::to_string(most) + " bytes");
    return std::nullopt;
  }
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most) {
    const auto slice = find(name).value_or("");
    const auto decimal = as_integer(slice) ? std::nullopt : Decimal::read(slice);
    if (decimal && decimal->whole() && !decimal->as_integer()) {
      fail("`" + std::string(name) + "` is " + std::string(cut_front(slice, 64)) + "; the range is " +
           std::to_string(least) + " to " + std::to_string(most));
      return std::nullopt;
    }
    const auto number = read<std::int64_t>(name, as_integer, "a whole number");
    if (number && (*number < least || *number > most)) {
      fail("`" + std::string(name) + "` is " + std::to_string(*number) + "; the range is " + std::to_string(least) +
           " to " + std::to_string(most));
      return std::nullopt;
    }
    return number;
  }
  std::optional<std::uint64_t> unsigned_integer(std::string_view name) {
    return read<std::uint64_t>(name, as_unsigned, "a whole number from 0");
  }
  std::optional<double> number(std::string_view name) { return read<double>(name, as_number, "a number"); }
  std::optional<double> number(std::string_view name, double least, double most) {
    const auto value = number(name);
    if (!value || (*value >= least && *value <= most)) return value;
    fail("`" + std::string(name) + "` is out of range");
    return std::nullopt;
  }
  std::optional<bool> boolean(std::string_view name) { return read<bool>(name, as_bool, "true or false"); }
  std::optional<Duration> milliseconds(std::string_view name, Duration least = Duration{0},
                                       Duration most = limits::longest) {
    const auto ms = integer(name, to_ms(least), to_ms(most));
    if (!ms) return std::nullopt;
    return Duration{std::chrono::milliseconds(*ms)};
  }
  template <typename Parsed>
  std::optional<Parsed> name(std::string_view field, std::string_view rule) {
    const auto text = string(field);
    if (!text) return std::nullopt;
    auto parsed = Parsed::parse(*text);
    if (!parsed) fail("`" + std::string(field) + "` is not valid: " + std::string(rule));
    return parsed;
  }
  std::vector<std::string_view> array(std::string_view name) {
    const auto value = find(name);
    if (!value) return {};
    auto all = elements(*value);
    if (!all) fail("`" + std::string(name) + "` is not a JSON array" + too_many(*value, '['));
    return all.value_or(std::vector<std::string_view>{});
  }
  std::vector<std::string> strings(std::string_view name, std::size_t most = 256) {
    std::vector<std::string> all;
    for (const auto value : array(name)) {
      auto text = as_string(value);
      if (!text || all.size() >= most) {
        fail("`" + std::string(name) + "` is not an array of at most " + std::to_string(most) + " strings");
        break;
      }
      all.push_back(std::move(*text));
    }
    return all;
  }
  // {"key":"value",...}
  std::map<std::string, std::string> string_map(std::string_view name, std::size_t most, std::size_t most_bytes) {
    std::map<std::string, std::string> all;
    const auto value = find(name);
    if (!value) return all;
    const auto object = Object::read(*value);
    if (!object) fail("`" + std::string(name) + "` is not an object");
    if (!object) return all;
    for (const auto& [key, slice] : object->members()) {
      if (slice.front() != '"') {
        fail("`" + std::string(name) + "`: `" + std::string(cut_front(key, 64)) + "` is not a string" +
             (Decimal::read(slice) || as_bool(slice) ? ": write \"" + std::string(cut_front(slice, 64)) + "\"" : ""));
        break;
      }
      auto text = slice.size() <= most_text(most_bytes) ? as_string(slice) : std::nullopt;
      if (!text || key.empty() || key.size() > most_bytes || text->size() > most_bytes || all.size() >= most) {
        fail("`" + std::string(name) + "` may have at most " + std::to_string(most) + " strings of at most " +
             std::to_string(most_bytes) + " bytes by name");
        break;
      }
      all[key] = std::move(*text);
    }
    return all;
  }

 private:
  // The most JSON that a string of so many bytes can take, so that a longer one is not decoded to learn its length.
  static std::size_t most_text(std::size_t bytes) { return 6 * bytes + 2; }
  // The end of a message about a value that begins as it should.
  static std::string too_many(std::string_view value, char begin) {
    const auto first = value.find_first_not_of(" \t\n\r");
    if (first == std::string_view::npos || value[first] != begin) return "";
    const std::string names = ", with names of " + std::to_string(most_name_bytes >> 20U) + " MiB together";
    return " of at most " + std::to_string(most_parts) + " parts" + (begin == '{' ? names : "");
  }
  template <typename T, typename Reader>
  std::optional<T> read(std::string_view name, Reader reader, const char* what) {
    const auto slice = find(name);
    if (!slice) return std::nullopt;
    auto value = reader(*slice);
    if (!value) fail("`" + std::string(name) + "` is not " + what);
    return value;
  }

  std::optional<Object> object_;
  std::string problem_;
};

}  // namespace edgefleet::json
