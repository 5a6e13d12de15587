#include "coordinator/events/event.hpp"

#include <algorithm>

#include "common/core/overloaded.hpp"
#include "common/protocol/json.hpp"
#include "coordinator/core/submitter.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator::events {
namespace {

constexpr std::array<std::string_view, type_count> type_names{"task", "batch", "agent", "temperature", "model"};

using json::ObjectWriter;

void write(ObjectWriter& object, const TaskEvent& task) {
  object.string("id", task.id.str());
  object.string("capability", task.capability.str());
  if (!task.name.empty()) object.string("name", task.name);
  object.string("state", to_string(task.state));
  if (task.from) object.string("from", to_string(*task.from));
  if (task.batch) object.string("batch", task.batch->str());
  if (task.attempt > 0) object.integer("attempt", task.attempt);
  if (!task.agent.empty()) object.string("agent", task.agent.str());
  if (!task.error.empty()) object.string("error", task.error);
}

void write(ObjectWriter& object, const BatchEvent& batch) {
  object.string("id", batch.id.str());
  object.string("state", "ended");
}

void write(ObjectWriter& object, const AgentEvent& agent) {
  object.string("name", agent.agent.str());
  object.string("state", agent.state ? to_string(*agent.state) : "forgotten");
  if (agent.from) object.string("from", to_string(*agent.from));
}

void write(ObjectWriter& object, const TemperatureEvent& event) {
  object.string("agent", event.agent.str());
  write_temperature(object, event.temperature);
}

void write(ObjectWriter& object, const ModelEvent& event) {
  object.string("agent", event.agent.str());
  object.strings("loaded_models", event.loaded);
}

const AgentName& agent_of(const Event& event) {
  static const AgentName none;
  return std::visit(overloaded{[](const BatchEvent&) -> const AgentName& { return none; },
                               [](const auto& other) -> const AgentName& { return other.agent; }},
                    event.what);
}

const std::string& submitter_of(const Event& event) {
  static const std::string none;
  return std::visit(overloaded{[](const TaskEvent& task) -> const std::string& { return task.submitter; },
                               [](const BatchEvent& batch) -> const std::string& { return batch.submitter; },
                               [](const auto&) -> const std::string& { return none; }},
                    event.what);
}

std::size_t bytes_beside(const std::vector<std::string>& list) {
  std::size_t bytes = 0;
  for (const auto& text : list) bytes += sizeof text + text.size();
  return bytes;
}
std::size_t bytes_beside(const TaskEvent& task) {
  return task.capability.str().size() + task.name.size() + task.submitter.size() + task.agent.str().size() +
         task.error.size();
}
std::size_t bytes_beside(const BatchEvent& batch) { return batch.submitter.size(); }
std::size_t bytes_beside(const AgentEvent& agent) { return agent.agent.str().size(); }
std::size_t bytes_beside(const TemperatureEvent& of) {
  return of.agent.str().size() + bytes_beside(of.temperature.throttled);
}
std::size_t bytes_beside(const ModelEvent& of) { return of.agent.str().size() + bytes_beside(of.loaded); }

bool is_of(const Event& event, const BatchId& id) {
  if (const auto* batch = std::get_if<BatchEvent>(&event.what)) return batch->id == id;
  const auto* task = std::get_if<TaskEvent>(&event.what);
  return task != nullptr && task->batch == id;
}

}  // namespace

TaskEvent task_event(const TaskRecord& record, std::optional<TaskState> from, TaskState state, int attempt) {
  TaskEvent event{
      record.id, record.spec.capability, record.spec.name, record.submitter, record.batch, from, state, attempt, {},
      {}};
  if (!record.attempts.empty()) event.agent = record.attempts.back().agent;
  if (ended(state) && record.error) event.error = record.error->code;
  return event;
}

std::string_view to_string(Type type) { return type_names.at(static_cast<std::size_t>(type)); }

std::optional<Type> parse_type(std::string_view text) {
  const auto found = std::ranges::find(type_names, text);
  if (found == type_names.end()) return std::nullopt;
  return static_cast<Type>(found - type_names.begin());
}

std::size_t bytes_of(const Event& event) {
  return sizeof(Event) + std::visit([](const auto& what) { return bytes_beside(what); }, event.what);
}

std::string data_of(const Event& event) {
  std::string out;
  {
    ObjectWriter object(out);
    std::visit([&](const auto& what) { write(object, what); }, event.what);
    object.string("at", rfc3339(event.at));
  }
  return out;
}

bool Filter::takes(const Event& event) const {
  if (!types.at(event.what.index())) return false;
  if (!agent.empty() && agent_of(event) != agent) return false;
  if (!capability.empty()) {
    const auto* of_task = std::get_if<TaskEvent>(&event.what);
    if (of_task == nullptr || of_task->capability != capability) return false;
  }
  if (batch && !is_of(event, *batch)) return false;
  if (task) {
    const auto* of_task = std::get_if<TaskEvent>(&event.what);
    if (of_task == nullptr || of_task->id != *task) return false;
  }
  return !own || (!submitter_of(event).empty() && client_of(submitter_of(event)) == *own);
}

}  // namespace edgefleet::coordinator::events
