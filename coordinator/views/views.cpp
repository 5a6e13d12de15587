#include "coordinator/views/views.hpp"

#include <algorithm>
#include <ctime>
#include <tuple>

#include "common/core/where.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/json.hpp"
#include "common/protocol/problem.hpp"
#include "common/system/clock.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t usual_view_bytes = 4096;  // of a task, without its texts

using json::ArrayWriter;
using json::ObjectWriter;

void write_time(ObjectWriter& object, std::string_view name, const std::optional<WallTime>& time) {
  if (time) object.string(name, rfc3339(*time));
}

void write_where(ObjectWriter& object, const Where& where) {
  ObjectWriter conditions(object.key("where"));
  for (const auto& [name, value] : where) conditions.string(name, value);
}

void write_brief(ObjectWriter& object, const TaskRecord& record) {
  object.string("id", record.id.str());
  object.string("capability", record.spec.capability.str());
  if (!record.spec.name.empty()) object.string("name", record.spec.name);
  object.string("state", to_string(record.state));
  object.integer("priority", record.spec.priority);
  if (record.batch) object.string("batch", record.batch->str());
  if (!record.spec.where.empty()) write_where(object, record.spec.where);
  object.integer("timeout_ms", to_ms(record.spec.timeout));
  object.integer("max_attempts", record.spec.max_attempts);
  write_time(object, "accepted_at", record.accepted_at);
  write_time(object, "ended_at", record.ended_at);
  if (record.error) protocol::append_error(object.key("error"), *record.error);
  if (!record.usage.empty()) object.raw("usage", record.usage);
  if (ended(record.state) && record.run.count() > 0) {
    object.number("run_ms", static_cast<double>(record.run.count()) / 1e6);
  }
  ArrayWriter attempts(object.key("attempts"));
  for (const Attempt& attempt : record.attempts) {
    ObjectWriter element(attempts.next());
    element.integer("n", attempt.n);
    element.string("agent", attempt.agent.str());
    element.string("state", to_string(attempt.state));
    write_time(element, "assigned_at", attempt.assigned_at);
    write_time(element, "started_at", attempt.started_at);
    write_time(element, "ended_at", attempt.ended_at);
    if (attempt.error) protocol::append_error(element.key("error"), *attempt.error);
  }
}

void write_text_file(ObjectWriter& object, std::string_view name, const std::optional<TextFile>& file) {
  if (!file) return;
  ObjectWriter inner(object.key(name));
  inner.string("artifact", file->artifact);
  inner.unsigned_integer("bytes", file->bytes);
  inner.string("url", "/api/v1/artifacts/" + file->artifact);
}

void write_output(ObjectWriter& object, const TaskRecord& record) {
  write_text_file(object, "output_at", record.output_at);
  if (!record.output.empty()) object.raw("output", record.output);
}

void write_progress(ObjectWriter& object, const std::optional<TaskProgress>& progress) {
  if (!progress) return;
  ObjectWriter inner(object.key("progress"));
  if (!progress->text.empty()) inner.string("text", progress->text);
  if (progress->percent) inner.integer("percent", *progress->percent);
  if (progress->completed_bytes) inner.unsigned_integer("completed_bytes", *progress->completed_bytes);
  if (progress->total_bytes) inner.unsigned_integer("total_bytes", *progress->total_bytes);
  inner.integer("age_ms", to_ms(monotonic_now() - progress->reported_at));
}

void write_executors(ObjectWriter& object, const State& state, const Agent& agent) {
  ArrayWriter executors(object.key("executors"));
  for (const ExecutorIndex index : agent.executors) {
    const ExecutorView& view = state.placement.executor(index);
    ObjectWriter element(executors.next());
    element.string("name", view.info.name.str());
    {
      ArrayWriter capabilities(element.key("capabilities"));
      for (const auto& capability : view.info.capabilities) capabilities.string(capability.str());
    }
    element.integer("slots", view.info.slots);
    element.integer("free", view.open ? std::max(0, view.slots - view.assigned) : 0);
    if (!view.info.provider.empty()) element.string("provider", view.info.provider);
    const auto write_list = [&](std::string_view name, const std::vector<std::string>& list) {
      if (list.empty()) return;
      ArrayWriter array(element.key(name));
      for (const auto& text : list) array.string(text);
    };
    write_list("models", view.info.models);
    write_list("loaded_models", view.info.loaded_models);
    if (!view.info.problem.empty()) element.string("problem", view.info.problem);
    if (!view.info.notice.empty()) element.string("notice", view.info.notice);
  }
}

void write_sensor(ObjectWriter& object, const Temperature& temperature) {
  if (!temperature.sensor.empty()) object.string("sensor", temperature.sensor);
  if (!temperature.problem.empty()) object.string("sensor_problem", temperature.problem);
}

void write_info(ObjectWriter& object, const AgentInfo& info) {
  object.string("version", info.version);
  object.string("board", info.board);
  object.string("arch", info.arch);
  object.string("os", info.os);
  object.integer("cpus", info.cpus);
  object.unsigned_integer("memory_bytes", info.memory_bytes);
  if (!info.address.empty()) object.string("address", info.address);
  if (info.config) protocol::append_config(object.key("config"), *info.config);
  ObjectWriter labels(object.key("labels"));
  for (const auto& [name, value] : info.labels) labels.string(name, value);
}

void write_gpus(ObjectWriter& object, const Agent& agent) {
  ArrayWriter gpus(object.key("gpus"));
  for (std::size_t i = 0; i < agent.info->gpus.size(); ++i) {
    const GpuInfo& gpu = agent.info->gpus[i];
    ObjectWriter element(gpus.next());
    element.string("name", gpu.name);
    if (gpu.memory_bytes > 0) element.unsigned_integer("memory_bytes", gpu.memory_bytes);
    const bool measured = agent.beat && i < agent.beat->gpu_celsius.size() && agent.beat->gpu_celsius[i];
    if (measured) element.number("celsius", *agent.beat->gpu_celsius[i]);
  }
}

void write_beat(ObjectWriter& object, const Heartbeat& beat) {
  object.number("load", beat.load);
  object.unsigned_integer("free_memory_bytes", beat.free_memory_bytes);
  if (beat.free_disk_bytes > 0) object.unsigned_integer("free_disk_bytes", beat.free_disk_bytes);
  object.integer("uptime_ms", to_ms(beat.uptime));
  object.unsigned_integer("succeeded", beat.succeeded);
  object.unsigned_integer("failed", beat.failed);
}

void write_held(ObjectWriter& object, const State& state, const Agent& agent) {
  ArrayWriter running(object.key("running"));
  for (const auto& [id, attempt] : agent.attempts) {
    const auto task = state.tasks.find(id);
    if (task == state.tasks.end()) continue;
    ObjectWriter element(running.next());
    element.string("id", id.str());
    element.integer("attempt", attempt);
    element.string("capability", task->second.record.spec.capability.str());
    element.string("phase", to_string(task->second.record.state));
  }
}

}  // namespace

void write_temperature(ObjectWriter& object, const Temperature& temperature) {
  if (temperature.celsius) object.number("celsius", *temperature.celsius);
  object.number("trend_per_minute", temperature.trend_per_minute);
  object.string("policy", to_string(temperature.policy));
  ArrayWriter throttled(object.key("throttled"));
  for (const auto& flag : temperature.throttled) throttled.string(flag);
}

std::string rfc3339(WallTime time) {
  const std::time_t seconds = time.unix_ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::string ms = std::to_string(1000 + time.unix_ms % 1000);
  return std::string(text.data(), length) + "." + ms.substr(ms.size() - 3) + "Z";
}

std::string acceptance_view(const Acceptance& accepted) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("id", accepted.id.str());
    object.string("state", to_string(accepted.state));
    object.unsigned_integer("ahead", accepted.ahead);
    object.unsigned_integer("eligible_agents", accepted.eligible_agents);
    if (!accepted.waiting.empty()) object.string("waiting", accepted.waiting);
  }
  return out;
}

std::string batch_acceptance_view(const BatchAcceptance& accepted) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("id", accepted.id.str());
    ArrayWriter tasks(object.key("tasks"));
    for (const auto& id : accepted.tasks) tasks.string(id.str());
  }
  return out;
}

std::string task_view(const TaskRecord& record, const UnfinishedDetails& details) {
  std::string out;
  out.reserve(record.output.size() + record.spec.input.size() + usual_view_bytes);
  {
    ObjectWriter object(out);
    write_brief(object, record);
    write_text_file(object, "input_at", record.spec.input_at);
    if (!record.spec.input_at) object.raw("input", record.spec.input);
    write_output(object, record);
    if (!details.output_problem.empty()) object.string("output_problem", details.output_problem);
    if (!details.waiting.empty()) {
      object.unsigned_integer("ahead", details.ahead);
      object.string("waiting", details.waiting);
    }
    write_progress(object, details.progress);
  }
  return out;
}

std::string outcome_view(const TaskRecord& record, std::size_t most_bytes) {
  std::string out;
  {
    ObjectWriter object(out);
    write_brief(object, record);
    write_output(object, record);
  }
  if (out.size() <= most_bytes) return out;
  return protocol::problem_json(
      Error{"the outcome of task " + record.id.str() + " (" + std::string(to_string(record.state)) +
                ") is too large for an MQTT message; read it with GET /api/v1/tasks/" + record.id.str(),
            ErrorKind::too_large});
}

std::string tasks_view(const std::vector<TaskRecord>& records, std::size_t limit, const ProgressOf& progress_of) {
  std::string out;
  {
    ObjectWriter object(out);
    {
      ArrayWriter tasks(object.key("tasks"));
      for (const auto& record : records) {
        ObjectWriter element(tasks.next());
        write_brief(element, record);
        write_progress(element, progress_of(record));
      }
    }
    if (records.size() == limit) object.string("next", records.back().id.str());
  }
  return out;
}

std::string batch_view(const BatchRecord& batch, const std::array<std::size_t, task_state_count>& counts) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("id", batch.id.str());
    object.unsigned_integer("total", batch.total);
    std::size_t kept = 0;
    for (const std::size_t count : counts) kept += count;
    if (kept < batch.total) object.unsigned_integer("purged", batch.total - kept);
    ObjectWriter states(object.key("counts"));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      states.unsigned_integer(to_string(static_cast<TaskState>(i)), counts.at(i));
    }
  }
  return out;
}

std::string drained_view(const AgentName& name, const Drained& answer) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("name", name.str());
    object.string("state", to_string(answer.state));
    object.boolean("drained", answer.drained);
    object.unsigned_integer("tasks", answer.tasks);
  }
  return out;
}

std::string reloading_view(const AgentName& name, const Reloading& answer) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("name", name.str());
    object.string("state", to_string(answer.state));
    object.string("session", answer.session.str());
    object.unsigned_integer("reloads", answer.reloads);
  }
  return out;
}

std::string agent_view(const State& state, const Agent& agent, Now now, bool with_tasks) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("name", agent.name.str());
    object.string("state", to_string(agent.status.state));
    object.string("session", agent.session.str());
    write_time(object, "since", agent.since);
    object.boolean("drained", agent.drained);
    object.boolean("placeable", placeable(state, agent));
    write_executors(object, state, agent);
    if (agent.temperature) {
      write_temperature(object, *agent.temperature);
      write_sensor(object, *agent.temperature);
    } else {
      object.string("policy", to_string(HeatPolicy::normal));
      object.raw("throttled", "[]");
    }
    object.unsigned_integer("tasks", agent.attempts.size());
    if (agent.info) write_info(object, *agent.info);
    if (agent.info) write_gpus(object, agent);
    if (agent.beat) {
      write_beat(object, *agent.beat);
      object.integer("last_heartbeat_ms", to_ms(now.mono - agent.last_heard));
      object.integer("skew_ms", agent.skew_ms);
    }
    if (with_tasks) write_held(object, state, agent);
  }
  return out;
}

AgentsPart agents_part(const State& state, Now now, std::size_t first, std::size_t most) {
  const std::size_t end = std::min(state.agents.size(), first + most);
  AgentsPart part{{}, end < state.agents.size()};
  for (std::size_t i = first; i < end; ++i) {
    if (vacant(state.agents[i])) continue;
    if (!part.elements.empty()) part.elements += ',';
    part.elements += agent_view(state, state.agents[i], now, false);
  }
  return part;
}

namespace {

struct QueueLine {
  ClassKey key;
  std::size_t queued = 0;
  std::size_t running = 0;
};

// Longest queue first.
std::vector<QueueLine> queue_lines(const State& state) {
  std::map<ClassKey, QueueLine> lines;
  for (const auto& queue : state.placement.queues()) {
    lines[{queue.key.capability, queue.key.where}].queued += queue.queued;
  }
  for (const Agent& agent : state.agents) {
    for (const auto& [id, attempt] : agent.attempts) {
      const auto task = state.tasks.find(id);
      if (task == state.tasks.end()) continue;
      ++lines[{task->second.record.spec.capability, conditions_of(task->second.record.spec)}].running;
    }
  }
  std::vector<QueueLine> sorted;
  sorted.reserve(lines.size());
  for (auto& [key, line] : lines) sorted.push_back({key, line.queued, line.running});
  std::sort(sorted.begin(), sorted.end(), [](const QueueLine& a, const QueueLine& b) {
    return std::tie(b.queued, b.running, a.key) < std::tie(a.queued, a.running, b.key);
  });
  return sorted;
}

void write_queue_line(ObjectWriter element, const State& state, const QueueLine& line) {
  const auto why = explain(state, line.key.capability, line.key.where);
  element.string("capability", line.key.capability.str());
  write_where(element, line.key.where);
  element.unsigned_integer("queued", line.queued);
  element.unsigned_integer("running", line.running);
  element.unsigned_integer("eligible_agents", why.eligible);
  if (line.queued == 0) return;
  element.string("waiting", !state.connected ? "the broker cannot be reached"
                            : why.free       ? "it is placed next"
                                             : why.waiting);
}

}  // namespace

std::string queue_view(const State& state) {
  const auto lines = queue_lines(state);
  std::size_t queued = 0;
  std::size_t running = 0;
  for (const auto& line : lines) {
    queued += line.queued;
    running += line.running;
  }
  const std::size_t shown = std::min(lines.size(), most_queue_lines);
  std::string out;
  {
    ObjectWriter object(out);
    {
      ArrayWriter queues(object.key("queues"));
      for (std::size_t i = 0; i < shown; ++i) write_queue_line(ObjectWriter(queues.next()), state, lines[i]);
    }
    if (shown < lines.size()) object.unsigned_integer("more", lines.size() - shown);
    object.unsigned_integer("queued", queued);
    object.unsigned_integer("running", running);
    if (!state.on_hold.empty()) {
      object.unsigned_integer("held", state.on_hold.size());
      object.string("notice", held_notice(state.on_hold.size()));
    }
  }
  return out;
}

std::string held_notice(std::size_t tasks) {
  return std::to_string(tasks) + (tasks == 1 ? " task is" : " tasks are") +
         " held after a restore: release them with `edgefleet release`, or cancel those you no longer need";
}

}  // namespace edgefleet::coordinator
