#include "common/core/where.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "common/core/nearest.hpp"
#include "common/core/trimmed.hpp"
#include "common/core/utf8.hpp"

namespace edgefleet {
namespace {

struct Size {
  std::string_view key;
  std::uint64_t MachineSize::* of;
};
constexpr std::array<Size, 4> sizes{{{"cpus", &MachineSize::cpus},
                                     {"memory_mb", &MachineSize::memory_mb},
                                     {"gpu_memory_mb", &MachineSize::gpu_memory_mb},
                                     {task_size_key, &MachineSize::max_task_mb}}};

struct Operator {
  std::string_view text;  // before the value; equality has none
  Comparison how;
};
// Longer ones first.
constexpr std::array<Operator, 4> operators{
    {{">=", Comparison::at_least}, {"<=", Comparison::at_most}, {">", Comparison::greater}, {"<", Comparison::less}}};
constexpr std::string_view operator_characters = "=<>!~";
constexpr std::string_view comparable =
    "cpus, memory_mb and gpu_memory_mb compare with a whole number: =, >=, <=, > and <";

// Not `quoted`: for a std::string, std::quoted would be the better match where <iomanip> is included, as on Debian 13.
std::string in_backticks(std::string_view text) { return "`" + std::string(cut_front(text, 64)) + "`"; }

bool of_key(char c) {
  const auto byte = static_cast<unsigned char>(c);
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || byte >= 0x80;
  return letter || (c >= '0' && c <= '9') || std::string_view("._-/").find(c) != std::string_view::npos;
}

std::string suggestion(std::string_view key) {
  const auto near = nearest(key, reserved_keys());
  return near && is_size(*near) && *near != task_size_key ? "; did you mean " + in_backticks(*near) + "?" : "";
}

constexpr auto most_size = std::numeric_limits<std::uint64_t>::max();

// A whole number, after an operator or without one, that has more than 64 bits.
bool too_large(std::string_view value) {
  const auto digits = value.substr(std::min(value.find_first_not_of("<>="), value.size()));
  return digits.size() > std::to_string(most_size).size() - 1 &&
         digits.find_first_not_of("0123456789") == std::string_view::npos;
}

Status check_condition(const std::string& key, const std::string& value) {
  const auto refuse = [&](const std::string& why) {
    return Error{"`where`: " + in_backticks(show_condition(key, value)) + ": " + why, ErrorKind::invalid};
  };
  if (key == task_size_key) return refuse("it follows from the size of the input, and cannot be set");
  if (!valid_key(key)) return refuse("a key has " + std::string(key_rule) + "; " + std::string(comparable));
  if (is_size(key)) {
    if (parse_size_condition(value)) return success();
    if (too_large(value)) return refuse("the largest number is " + std::to_string(most_size));
    return refuse(std::string(comparable) + ", without a unit (memory is in MiB)");
  }
  const bool compares = !value.empty() && operator_characters.find(value.front()) != std::string_view::npos;
  if (!compares) return success();
  return refuse(in_backticks(key) + " is compared with = only; " + std::string(comparable) + suggestion(key));
}

}  // namespace

std::optional<std::uint64_t> size_named(std::string_view key, const MachineSize& size) {
  for (const Size& one : sizes) {
    if (one.key == key) return size.*one.of;
  }
  return std::nullopt;
}

// In whole MiB, so that inputs of similar sizes share a queue.
Where conditions_of(const TaskSpec& spec) {
  constexpr std::uint64_t mb = 1024 * 1024;
  Where all = spec.where;
  if (spec.input_at) all[std::string(task_size_key)] = ">=" + std::to_string((spec.input_at->bytes + mb - 1) / mb);
  return all;
}

bool is_size(std::string_view key) { return size_named(key, {}).has_value(); }

const std::vector<std::string>& reserved_keys() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> keys{"agent", "model"};
    for (const Size& one : sizes) keys.emplace_back(one.key);
    return keys;
  }();
  return all;
}

bool valid_key(std::string_view key) { return !key.empty() && std::all_of(key.begin(), key.end(), of_key); }

std::optional<SizeCondition> parse_size_condition(std::string_view text) {
  SizeCondition condition;
  for (const Operator& one : operators) {
    if (!text.starts_with(one.text)) continue;
    condition.how = one.how;
    text.remove_prefix(one.text.size());
    break;
  }
  const auto* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, condition.amount);
  if (failure != std::errc() || stop != end) return std::nullopt;
  return condition;
}

bool meets(const SizeCondition& condition, std::uint64_t amount) {
  switch (condition.how) {
    case Comparison::equal:
      return amount == condition.amount;
    case Comparison::less:
      return amount < condition.amount;
    case Comparison::at_most:
      return amount <= condition.amount;
    case Comparison::greater:
      return amount > condition.amount;
    case Comparison::at_least:
      return amount >= condition.amount;
  }
  return false;
}

Status check_where(const Where& where) {
  for (const auto& [key, value] : where) {
    if (auto good = check_condition(key, value); !good) return good;
  }
  return success();
}

std::string show_condition(const std::string& key, const std::string& value) {
  const bool compares = is_size(key) && (value.starts_with('<') || value.starts_with('>'));
  return key + (compares ? "" : "=") + value;
}

Result<Where::value_type> parse_condition(std::string_view text) {
  const auto at = text.find_first_of(operator_characters);
  if (at == std::string_view::npos || trimmed(text.substr(0, at)).empty()) {
    return Error{"'" + std::string(text) +
                     "' is not a condition: write KEY=VALUE, such as board=pi4 or agent=pi-1, or memory_mb>=4000",
                 ErrorKind::invalid};
  }
  const std::string key(trimmed(text.substr(0, at)));
  std::string value(text.substr(text[at] == '=' ? at + 1 : at));
  if (is_size(key)) std::erase(value, ' ');
  if (auto good = check_condition(key, value); !good) return good.error();
  return Where::value_type{key, value};
}

}  // namespace edgefleet
