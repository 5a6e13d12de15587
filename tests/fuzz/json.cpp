// Compares the slicing reader with a full parser: they accept the same texts and read the same values.
#include "common/protocol/json.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;
using Tree = nlohmann::json;

namespace {

// Equal keys: the last one counts for both.
void compare(std::string_view slice, const Tree& tree);

void compare_object(std::string_view slice, const Tree& tree) {
  const auto object = json::Object::read(slice);
  require(object.has_value() == tree.is_object(), "exactly an object is read as an object");
  if (!object) return;
  require(object->members().size() >= tree.size(), "no member is left out");
  for (const auto& [key, value] : tree.items()) {
    const auto found = object->find(key);
    require(found.has_value(), "every member is found");
    compare(*found, value);
  }
}

void compare_array(std::string_view slice, const Tree& tree) {
  const auto elements = json::elements(slice);
  require(elements.has_value() == tree.is_array(), "exactly an array is read as an array");
  if (!elements) return;
  require(elements->size() == tree.size(), "no element is left out");
  for (std::size_t i = 0; i < elements->size(); ++i) compare((*elements)[i], tree[i]);
}

void compare_number(std::string_view slice, const Tree& tree) {
  const auto number = json::as_number(slice);
  const bool is_number = tree.is_number() && std::isfinite(tree.get<double>());
  // One that is too small for a double may be refused, as one that is too large is.
  const bool tiny = is_number && std::abs(tree.get<double>()) < std::numeric_limits<double>::min();
  require(number.has_value() == is_number || (tiny && !number), "exactly a number is read as a number");
  if (number) require(*number == tree.get<double>(), "a number has its value");
  const auto whole = json::as_integer(slice);
  if (whole) require(tree.is_number() && tree.get<std::int64_t>() == *whole, "a whole number has its value");
  const auto natural = json::as_unsigned(slice);
  if (natural)
    require(tree.is_number_unsigned() && tree.get<std::uint64_t>() == *natural, "a natural number has its value");
  if (tree.is_number_unsigned()) require(natural.has_value(), "a natural number is read as a natural number");
}

void compare(std::string_view slice, const Tree& tree) {
  compare_object(slice, tree);
  compare_array(slice, tree);
  compare_number(slice, tree);
  const auto text = json::as_string(slice);
  require(text.has_value() == tree.is_string(), "exactly a string is read as a string");
  if (text) require(*text == tree.get_ref<const std::string&>(), "a string has its value");
  const auto flag = json::as_bool(slice);
  require(flag.has_value() == tree.is_boolean(), "exactly true and false are read as booleans");
  if (flag) require(*flag == tree.get<bool>(), "a boolean has its value");
}

// Whitespace around a value is not part of its slice.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::string_view(" \t\r\n").find(text.front()) != std::string_view::npos)
    text.remove_prefix(1);
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  return text;
}

void check_quoting(std::string_view text) {
  const auto quoted = json::quoted(text);
  require(json::well_formed(quoted), "any quoted text is JSON");
  const auto back = json::as_string(quoted);
  require(back.has_value(), "any quoted text is a string");
  require(json::quoted(*back) == quoted, "a string that was read is quoted identically");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = text_of(data, size);
  check_quoting(text);
  const Tree tree = Tree::parse(text, nullptr, false);
  if (!json::well_formed(text)) {
    // The full parser takes a byte order mark, a NUL byte as the end, and any depth.
    const bool ours =
        text.find('\0') != std::string_view::npos || text.starts_with("\xEF") ||
        std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{'; }) > json::deepest;
    require(tree.is_discarded() || ours, "text that can be parsed is well formed");
    return 0;
  }
  // It refuses numbers that no double can hold.
  if (tree.is_discarded()) {
    const auto digits = std::count_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    require(digits > 300 || text.find_first_of("eE") != std::string_view::npos, "well-formed text can be parsed");
    return 0;
  }
  compare(trimmed(text), tree);
  return 0;
}
