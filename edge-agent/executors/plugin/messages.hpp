// The lines that an agent and a plug-in exchange (docs/plugins.md). Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

inline constexpr std::size_t longest_plugin_line = std::size_t{1} << 20U;  // and the output that a task may have
inline constexpr int plugin_protocol = 1;

struct PluginHello {
  std::string version;
  std::vector<Capability> capabilities;
  int slots = 1;
  std::map<Capability, JsonText> parameters;  // JSON Schema of the input
};
Result<PluginHello> parse_hello(std::string_view line);

struct PluginProgress {
  AttemptKey key;
  Progress progress;
};
struct PluginResult {
  AttemptKey key;
  JsonText output = "null";
  std::optional<TaskError> error;
};
// Messages after the hello. A result that is not JSON fails its task, if the line still identifies it.
Result<std::variant<PluginProgress, PluginResult>> parse_plugin_line(std::string_view line,
                                                                     std::size_t longest = longest_plugin_line);

// With the newline. `input` is well formed; it becomes one line.
std::string task_line(const Job& job, std::string_view input, const std::string& scratch);
std::string cancel_line(const AttemptKey& key);

}  // namespace edgefleet::agent
