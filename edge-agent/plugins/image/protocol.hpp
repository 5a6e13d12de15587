// The lines that the agent and a plug-in exchange (docs/plugins.md). Pure: no file, no process, no exception.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

namespace edgefleet::image {

constexpr std::size_t kMostLine = std::size_t{1} << 20U;  // bytes, without the newline

struct TaskKey {
  std::string id;
  int attempt = 0;
  bool operator==(const TaskKey&) const = default;
};

struct Task {
  TaskKey key;
  std::string capability;
  nlohmann::json input;
  std::string scratch;
};
struct Cancel {
  TaskKey key;
};
struct Ignored {
  std::string reason;  // empty: not logged, a message of a later protocol
};
using Message = std::variant<Task, Cancel, Ignored>;

Message parse_message(std::string_view line);

struct Failure {
  std::string code;
  std::string message;
  bool retryable = false;
};

// Each with its newline.
// `parameters`: the JSON Schema of each capability's input, by name.
std::string hello_line(std::span<const std::string> capabilities, unsigned slots, const nlohmann::json& parameters);
std::string progress_line(const TaskKey& key, int percent, std::string_view text);
std::string result_line(const TaskKey& key, const nlohmann::json& output);
std::string failure_line(const TaskKey& key, const Failure& failure);

}  // namespace edgefleet::image
