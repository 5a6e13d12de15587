// The conditions of a task on its agent: a key, an operator and a value each. Labels, `agent` and `model` are compared
// for equality, the sizes of the machine as numbers. On the wire and in the store a condition is a member
// `"key":"value"`; for a size the value may begin with its operator: `"memory_mb":">=4000"`. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet {

// What every agent has without a label for it. A megabyte is a MiB, as in `free -m` and nvidia-smi.
struct MachineSize {
  std::uint64_t cpus = 0;
  std::uint64_t memory_mb = 0;
  std::uint64_t gpu_memory_mb = 0;  // of its largest GPU
  std::uint64_t max_task_mb = 0;    // of an input in a file that it takes
};

// The condition that edgefleet itself adds to a task whose input is a file. Clients cannot set it.
inline constexpr std::string_view task_size_key = "max_task_mb";
// The conditions of a task: its own, and that one.
Where conditions_of(const TaskSpec& spec);

// The size that a key names; none: the key is no size.
std::optional<std::uint64_t> size_named(std::string_view key, const MachineSize& size);
bool is_size(std::string_view key);
// Keys that no label may have: the sizes, `agent` and `model`.
const std::vector<std::string>& reserved_keys();
// Letters (of any alphabet), digits, '.', '_', '-' and '/'.
bool valid_key(std::string_view key);
inline constexpr std::string_view key_rule = "letters, digits, '.', '_', '-' and '/'";

enum class Comparison { equal, less, at_most, greater, at_least };
struct SizeCondition {
  Comparison how = Comparison::equal;
  std::uint64_t amount = 0;
};
// "4000", ">=4000"; none: it is neither.
std::optional<SizeCondition> parse_size_condition(std::string_view text);
bool meets(const SizeCondition& condition, std::uint64_t amount);

// An error names the condition, and what can be asked for.
Status check_where(const Where& where);
std::string show_condition(const std::string& key, const std::string& value);  // "room=attic", "memory_mb>=4000"

// As on a command line: `room=attic`, `memory_mb>=4000`.
Result<Where::value_type> parse_condition(std::string_view text);

}  // namespace edgefleet
