#include "common/protocol/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/core/utf8.hpp"

namespace edgefleet::json {
namespace {

bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// A cursor over text that is known to be well formed, so that it reports no errors; the bounds are checked
// nevertheless.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) { skip_space(); }

  [[nodiscard]] bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  bool take(char c) {
    if (!at(c)) return false;
    ++at_;
    skip_space();
    return true;
  }
  std::string_view value() {
    const std::size_t begin = at_;
    if (at('"')) {
      skip_string();
    } else if (at('{') || at('[')) {
      skip_nested();
    } else {
      while (!done() && text_[at_] != ',' && text_[at_] != '}' && text_[at_] != ']' && !space(text_[at_])) ++at_;
    }
    const auto slice = text_.substr(begin, at_ - begin);
    skip_space();
    return slice;
  }

 private:
  void skip_space() {
    while (!done() && space(text_[at_])) ++at_;
  }
  void skip_string() { at_ = after_string(text_, at_); }
  void skip_nested() {
    int depth = 0;
    do {
      if (at('"')) {
        skip_string();
        continue;
      }
      if (at('{') || at('[')) ++depth;
      if (at('}') || at(']')) --depth;
      ++at_;
    } while (depth > 0 && !done());
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

int depth_of(std::string_view text) {
  int depth = 0;
  int most = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      i = after_string(text, i) - 1;
    } else if (c == '{' || c == '[') {
      most = std::max(most, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return most;
}

// The syntax of RFC 8259, and a bound on nesting. A number may have any size: whoever needs its value looks at that.
class Syntax {
 public:
  explicit Syntax(std::string_view text) : text_(text) {}
  bool check() { return element(0) && at_ == text_.size(); }

 private:
  [[nodiscard]] bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!at(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && space(text_[at_])) ++at_;
  }
  // A value, and the space around it.
  bool element(int depth) {
    skip_space();
    const bool good = value(depth);
    skip_space();
    return good;
  }
  bool value(int depth) {
    if (take('{')) return depth < deepest && list('}', [&] { return member(depth + 1); });
    if (take('[')) return depth < deepest && list(']', [&] { return element(depth + 1); });
    if (take('"')) return rest_of_string();
    return take("true") || take("false") || take("null") || number();
  }
  template <typename One>
  bool list(char end, One one) {
    skip_space();
    if (take(end)) return true;
    do {
      if (!one()) return false;
    } while (take(','));
    return take(end);
  }
  bool member(int depth) {
    skip_space();
    if (!take('"') || !rest_of_string()) return false;
    skip_space();
    return take(':') && element(depth);
  }
  bool digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > begin;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('+')) take('-');
    return digits();
  }
  bool rest_of_string() {
    while (at_ < text_.size()) {
      if (take('"')) return true;
      if (at('\\')) {
        if (!escape()) return false;
        continue;
      }
      const std::size_t length = static_cast<unsigned char>(text_[at_]) < 0x20 ? 0 : utf8_character(text_.substr(at_));
      if (length == 0) return false;
      at_ += length;
    }
    return false;
  }
  bool escape() {
    if (!take("\\u")) {
      at_ += 2;
      return at_ <= text_.size() && std::string_view("\"\\/bfnrt").find(text_[at_ - 1]) != std::string_view::npos;
    }
    const auto first = code_unit();
    if (!first || (*first & 0xFC00U) == 0xDC00U) return false;
    if ((*first & 0xFC00U) != 0xD800U) return true;
    if (!take("\\u")) return false;
    const auto second = code_unit();
    return second && (*second & 0xFC00U) == 0xDC00U;
  }
  std::optional<unsigned> code_unit() {
    const auto text = text_.substr(at_, 4);
    unsigned unit = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), unit, 16);
    if (text.size() < 4 || failure != std::errc{} || rest != text.data() + 4) return std::nullopt;
    at_ += 4;
    return unit;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

template <typename Number>
std::optional<Number> whole_number(std::string_view value) {
  Number number{};
  const char* const end = value.data() + value.size();
  const auto [rest, failure] = std::from_chars(value.data(), end, number);
  if (failure != std::errc{} || rest != end) return std::nullopt;
  return number;
}

}  // namespace

std::size_t after_string(std::string_view text, std::size_t quote) {
  for (std::size_t end = text.find('"', quote + 1); end != std::string_view::npos; end = text.find('"', end + 1)) {
    std::size_t backslash = end;
    while (text[backslash - 1] == '\\') --backslash;
    if ((end - backslash) % 2 == 0) return end + 1;
  }
  return text.size();
}

bool well_formed(std::string_view text) { return Syntax(text).check(); }

bool part_is_shallow(std::string_view text) { return depth_of(text) <= deepest_part; }

std::optional<Object> Object::read(std::string_view text) {
  Cursor cursor(text);
  if (!cursor.take('{')) return std::nullopt;
  Object object;
  std::size_t names = 0;
  while (!cursor.done() && !cursor.at('}')) {
    const auto name = cursor.value();
    if ((names += name.size()) > most_name_bytes) return std::nullopt;
    auto key = as_string(name);
    if (!key || !cursor.take(':') || object.members_.size() >= most_parts) return std::nullopt;
    object.members_.emplace_back(std::move(*key), cursor.value());
    if (!cursor.take(',')) break;
  }
  if (!cursor.take('}') || !cursor.done()) return std::nullopt;
  return object;
}

std::optional<std::string_view> Object::find(std::string_view key) const {
  const auto last = std::find_if(members_.rbegin(), members_.rend(), [&](const auto& m) { return m.first == key; });
  return last == members_.rend() ? std::nullopt : std::optional(last->second);
}

std::optional<std::vector<std::string_view>> elements(std::string_view array) {
  Cursor cursor(array);
  if (!cursor.take('[')) return std::nullopt;
  std::vector<std::string_view> all;
  while (!cursor.done() && !cursor.at(']')) {
    if (all.size() >= most_parts) return std::nullopt;
    all.push_back(cursor.value());
    if (!cursor.take(',')) break;
  }
  if (!cursor.take(']') || !cursor.done()) return std::nullopt;
  return all;
}

std::optional<std::string> as_string(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::nullopt;
  if (value.find('\\') == std::string_view::npos) return std::string(value.substr(1, value.size() - 2));
  const auto parsed = nlohmann::json::parse(value, nullptr, false);
  if (!parsed.is_string()) return std::nullopt;
  return parsed.get<std::string>();
}

std::optional<std::int64_t> as_integer(std::string_view value) { return whole_number<std::int64_t>(value); }
std::optional<std::uint64_t> as_unsigned(std::string_view value) { return whole_number<std::uint64_t>(value); }

std::optional<double> as_number(std::string_view value) {
  double number = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, failure] = std::from_chars(value.data(), end, number);
  if (rest != end || failure == std::errc::invalid_argument) return std::nullopt;
  // from_chars does not tell too large from too close to zero.
  if (failure == std::errc::result_out_of_range) number = std::strtod(std::string(value).c_str(), nullptr);
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::optional<bool> as_bool(std::string_view value) {
  if (value == "true") return true;
  if (value == "false") return false;
  return std::nullopt;
}

std::string without(const Object& object, const std::vector<std::string_view>& names) {
  std::string out;
  {
    ObjectWriter writer(out);
    for (const auto& [name, value] : object.members()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) writer.raw(name, value);
    }
  }
  return out;
}

std::string with(const Object& object, std::string_view name, std::string_view value) {
  std::string out;
  {
    ObjectWriter writer(out);
    bool written = false;
    for (const auto& [key, old] : object.members()) {
      if (key != name) {
        writer.raw(key, old);
      } else if (!std::exchange(written, true)) {
        writer.raw(name, value);
      }
    }
    if (!written) writer.raw(name, value);
  }
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
  if (plain) {
    (out += '"').append(text) += '"';
  } else {
    out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
}

std::string quoted(std::string_view text) {
  std::string out;
  append_quoted(out, text);
  return out;
}

std::string& ObjectWriter::key(std::string_view name) {
  if (!first_) out_ += ',';
  first_ = false;
  append_quoted(out_, name);
  return out_ += ':';
}

namespace {

std::string number_text(double value) { return std::isfinite(value) ? nlohmann::json(value).dump() : "null"; }

}  // namespace

void ObjectWriter::strings(std::string_view name, const std::vector<std::string>& all) {
  ArrayWriter array(key(name));
  for (const auto& one : all) array.string(one);
}

void ObjectWriter::number(std::string_view name, double value) { key(name) += number_text(value); }

void ArrayWriter::number(double value) { next() += number_text(value); }

std::string& ArrayWriter::next() {
  if (!first_) out_ += ',';
  first_ = false;
  return out_;
}

}  // namespace edgefleet::json
