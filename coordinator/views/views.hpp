// The views of the API, as JSON text.
#pragma once

#include <functional>
#include <string>

#include "coordinator/core/answers.hpp"
#include "coordinator/core/state.hpp"
#include "coordinator/core/writes.hpp"

namespace edgefleet::json {
class ObjectWriter;
}

namespace edgefleet::coordinator {

std::string rfc3339(WallTime time);  // 2026-01-31T12:00:00.000Z

std::string acceptance_view(const Acceptance& accepted);
std::string batch_acceptance_view(const BatchAcceptance& accepted);
// Details of an unfinished task in addition to its record.
struct UnfinishedDetails {
  std::string waiting;
  std::size_t ahead = 0;
  std::optional<TaskProgress> progress;
  std::string output_problem{};  // why an output that is a file is not shown
};
// A task with all fields.
std::string task_view(const TaskRecord& record, const UnfinishedDetails& details = {});
// The answer to a submitter over MQTT: without the input, and never larger than a message may be.
std::string outcome_view(const TaskRecord& record, std::size_t most_bytes = limits::payload_bytes);
using ProgressOf = std::function<std::optional<TaskProgress>(const TaskRecord&)>;
std::string tasks_view(const std::vector<TaskRecord>& records, std::size_t limit, const ProgressOf& progress_of);
std::string batch_view(const BatchRecord& batch, const std::array<std::size_t, task_state_count>& counts);
std::string drained_view(const AgentName& name, const Drained& answer);
std::string reloading_view(const AgentName& name, const Reloading& answer);
void write_temperature(json::ObjectWriter& object, const Temperature& temperature);
std::string agent_view(const State& state, const Agent& agent, Now now, bool with_tasks);
// Up to `most` of the agents from number `first` on: elements with commas between them.
struct AgentsPart {
  std::string elements;
  bool more = false;
};
AgentsPart agents_part(const State& state, Now now, std::size_t first, std::size_t most);
inline constexpr std::size_t most_queue_lines = 100;  // each examines all agents that offer its capability
std::string queue_view(const State& state);
std::string held_notice(std::size_t tasks);  // a sentence about tasks held after a restore, with advice

}  // namespace edgefleet::coordinator
