#include "cli/core/arguments.hpp"

#include <algorithm>

#include "cli/core/times.hpp"
#include "common/core/where.hpp"

namespace edgefleet::cli {
namespace {

Error wrong(const std::string& message) { return Error{message, ErrorKind::invalid}; }
std::string quote(std::string_view text) { return "'" + std::string(text) + "'"; }

}  // namespace

std::vector<std::string> join_wait(std::vector<std::string> arguments) {
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (arguments[i] != "--wait") continue;
    const auto next = arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    if (next != arguments.end() && (*next == wait_forever || parse_duration(*next))) {
      arguments[i] += "=" + *next;
      arguments.erase(next);
    } else {
      arguments[i] += "=" + std::string(wait_forever);
    }
  }
  return arguments;
}

Result<Where> parse_where(const std::vector<std::string>& conditions) {
  Where where;
  for (const auto& condition : conditions) {
    const auto one = parse_condition(condition);
    if (!one) return one.error();
    if (!where.insert(*one).second) return wrong("--where " + one->first + " is given twice");
  }
  return where;
}

Result<Capability> parse_capability(std::string_view text) {
  if (auto capability = Capability::parse(text)) return *capability;
  return wrong(quote(text) + " is not a capability: " + std::string(capability_rule));
}

Result<TaskId> parse_task_id(std::string_view text) {
  if (auto id = TaskId::parse(text)) return *id;
  return wrong(quote(text) + " is not the id of a task: an id has 26 characters, as listed by edgefleet tasks");
}

Result<AgentName> parse_agent_name(std::string_view text) {
  if (auto name = AgentName::parse(text)) return *name;
  return wrong(quote(text) + " is not the name of an agent: " + std::string(name_rule));
}

}  // namespace edgefleet::cli
