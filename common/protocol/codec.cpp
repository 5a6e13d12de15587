#include "common/protocol/codec.hpp"

#include <array>
#include <cmath>

#include "common/core/utf8.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::protocol {
namespace {

using json::ArrayWriter;
using json::Fields;
using json::ObjectWriter;

constexpr std::array<std::string_view, 6> control_types{"acknowledge", "cancel", "recall",
                                                        "drain",       "resume", "introduce"};
constexpr std::array<std::string_view, 3> coordinator_states{"online", "offline", "lost"};
constexpr std::array<std::string_view, 3> held_phases{"waiting", "running", "done"};

constexpr int most_attempts = 1'000'000;
constexpr Duration longest_run = std::chrono::hours(24 * 365);
constexpr std::uint64_t most_epochs = std::uint64_t{1}
                                      << 53U;  // the largest range that every JSON reader represents exactly
constexpr int most_slots = 10'000;
constexpr Duration most_extension = 10 * limits::longest;
constexpr std::size_t most_code_bytes = 64;  // of an error

template <typename Enum, std::size_t N>
std::optional<Enum> read_word(Fields& fields, std::string_view name, const std::array<std::string_view, N>& words) {
  if (!fields.require(name)) return std::nullopt;
  const auto text = fields.string(name);
  for (std::size_t i = 0; text && i < N; ++i) {
    if (words[i] == *text) return static_cast<Enum>(i);
  }
  fields.fail("`" + std::string(name) + "` is not one of the known values");
  return std::nullopt;
}

SessionId read_session(Fields& fields, std::string_view name = "session") {
  fields.require(name);
  return fields.name<SessionId>(name, "1 to 64 of letters, digits, '-' and '_'").value_or(SessionId{});
}

std::uint64_t read_epoch(Fields& fields) {
  const auto epoch = fields.unsigned_integer("epoch").value_or(0);
  if (epoch > most_epochs) fields.fail("`epoch` is out of range");
  return epoch;
}

Reign read_reign(Fields& fields) {
  fields.require("epoch");
  return Reign{read_epoch(fields), read_session(fields)};
}

void write_reign(ObjectWriter& object, const Reign& reign) {
  object.unsigned_integer("epoch", reign.epoch);
  object.string("session", reign.session.str());
}

TaskId read_id(Fields& fields) {
  fields.require("id");
  const auto text = fields.string("id");
  const auto id = TaskId::parse(text.value_or(""));
  if (text && !id) fields.fail("`id` is not a ULID");
  return id.value_or(TaskId{});
}

int read_attempt(Fields& fields) {
  fields.require("attempt");
  return static_cast<int>(fields.integer("attempt", 1, most_attempts).value_or(1));
}

template <typename T>
Result<T> finish(Fields& fields, T value) {
  if (!fields.ok()) return fields.error();
  return value;
}

// Decodes each element of the array `name` separately.
template <typename T, typename Decode>
Elements<T> read_elements(Fields& fields, std::string_view name, Decode decode,
                          std::size_t most = limits::message_elements) {
  Elements<T> all;
  fields.require(name);
  std::size_t index = 0;
  for (const auto slice : fields.array(name)) {
    if (index >= most) {
      all.bad.push_back("element " + std::to_string(index) + " and later: more than " + std::to_string(most));
      break;
    }
    Fields element(slice);
    T value = decode(element);
    if (element.ok()) {
      all.good.push_back(std::move(value));
    } else {
      all.bad.push_back("element " + std::to_string(index) + ": " + element.error().message);
    }
    ++index;
  }
  return all;
}

// Adds elements to the open array until a bound is reached; at least one, so that the caller makes progress.
template <typename T, typename Write>
void write_elements(std::string& out, const std::vector<T>& elements, std::size_t& first, std::size_t most_bytes,
                    Write write) {
  ArrayWriter array(out);
  const std::size_t start = first;
  while (first < elements.size() && first - start < limits::message_elements) {
    std::string text;
    write(text, elements[first]);
    if (first > start && out.size() + text.size() + limits::envelope_bytes > most_bytes) break;
    array.next() += text;
    ++first;
  }
}

std::string required_json(Fields& fields, std::string_view name) {
  const auto slice = fields.object().find(name);
  if (!slice) fields.fail("`" + std::string(name) + "` is missing");
  if (slice && !json::part_is_shallow(*slice)) fields.fail("`" + std::string(name) + "` is nested too deeply");
  return std::string(slice.value_or("null"));
}

}  // namespace

std::string_view to_string(ControlType type) { return control_types.at(static_cast<std::size_t>(type)); }

// ---- agents/<agent>/status

std::string encode(const AgentStatus& status) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("state", to_string(status.state));
    object.string("session", status.session.str());
  }
  return out;
}

Result<AgentStatus> decode_agent_status(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  AgentStatus status;
  fields.require("state");
  const auto state = parse_agent_state(fields.string("state").value_or(""));
  if (!state) fields.fail("`state` is not one of online, draining, overheated, offline, lost");
  status.state = state.value_or(AgentState::offline);
  status.session = read_session(fields);
  return finish(fields, std::move(status));
}

// ---- agents/<agent>/info

namespace {

void write_executor(std::string& out, const ExecutorInfo& executor) {
  ObjectWriter object(out);
  object.string("name", executor.name.str());
  {
    ArrayWriter capabilities(object.key("capabilities"));
    for (const auto& capability : executor.capabilities) capabilities.string(capability.str());
  }
  object.integer("slots", executor.slots);
  const auto write_list = [&](std::string_view name, const std::vector<std::string>& list) {
    if (list.empty()) return;
    ArrayWriter array(object.key(name));
    for (const auto& text : list) array.string(text);
  };
  if (!executor.provider.empty()) object.string("provider", executor.provider);
  write_list("models", executor.models);
  write_list("loaded_models", executor.loaded_models);
  if (!executor.problem.empty()) object.string("problem", executor.problem);
  if (executor.rests) object.boolean("rests", true);
  if (!executor.notice.empty()) object.string("notice", executor.notice);
}

ExecutorInfo read_executor(Fields& fields) {
  ExecutorInfo executor;
  fields.require("name");
  executor.name = fields.name<ExecutorName>("name", name_rule).value_or(ExecutorName{});
  for (const auto& text : fields.strings("capabilities")) {
    if (auto capability = Capability::parse(text)) {
      executor.capabilities.push_back(std::move(*capability));
    } else {
      fields.fail("`capabilities` has an invalid element: " + std::string(capability_rule));
    }
  }
  executor.slots = static_cast<int>(fields.integer("slots", 0, most_slots).value_or(1));
  executor.provider = fields.string("provider", 64).value_or("");
  executor.models = fields.strings("models");
  executor.loaded_models = fields.strings("loaded_models");
  executor.problem = fields.string("problem").value_or("");
  executor.rests = fields.boolean("rests").value_or(false);
  executor.notice = fields.string("notice").value_or("");
  return executor;
}

}  // namespace

std::string encode(const AgentInfo& info) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("session", info.session.str());
    object.string("version", info.version);
    object.string("board", info.board);
    object.string("arch", info.arch);
    object.string("os", info.os);
    if (!info.machine.empty()) object.string("machine", info.machine);
    object.integer("cpus", info.cpus);
    object.unsigned_integer("memory_bytes", info.memory_bytes);
    object.integer("max_tasks", info.max_tasks);
    {
      ObjectWriter labels(object.key("labels"));
      for (const auto& [name, value] : info.labels) labels.string(name, value);
    }
    ArrayWriter executors(object.key("executors"));
    for (const auto& executor : info.executors) write_executor(executors.next(), executor);
  }
  return out;
}

Result<AgentInfoMessage> decode_agent_info(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  AgentInfo info;
  info.session = read_session(fields);
  info.version = fields.string("version", 64).value_or("");
  info.board = fields.string("board", 256).value_or("");
  info.arch = fields.string("arch", 64).value_or("");
  info.os = fields.string("os", 256).value_or("");
  info.machine = fields.string("machine", 64).value_or("");
  info.cpus = static_cast<int>(fields.integer("cpus", 1, 4096).value_or(1));
  info.memory_bytes = fields.unsigned_integer("memory_bytes").value_or(0);
  info.max_tasks = static_cast<int>(fields.integer("max_tasks", 0, most_slots).value_or(0));
  info.labels = fields.string_map("labels", limits::labels, limits::label_bytes);
  auto executors = read_elements<ExecutorInfo>(fields, "executors", read_executor);
  info.executors = std::move(executors.good);
  return finish(fields, AgentInfoMessage{std::move(info), std::move(executors.bad)});
}

// ---- agents/<agent>/heartbeat

std::string encode(const Heartbeat& beat) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("session", beat.session.str());
    object.unsigned_integer("sequence", beat.sequence);
    object.unsigned_integer("epoch", beat.coordinator.epoch);
    if (!beat.coordinator.session.empty()) object.string("coordinator", beat.coordinator.session.str());
    object.unsigned_integer("n", beat.n);
    object.integer("uptime_ms", to_ms(beat.uptime));
    object.number("load", beat.load);
    object.unsigned_integer("free_memory_bytes", beat.free_memory_bytes);
    {
      ObjectWriter free(object.key("free_slots"));
      for (const auto& [executor, slots] : beat.free_slots) free.integer(executor.str(), slots);
    }
    {
      ArrayWriter held(object.key("tasks"));
      for (const auto& task : beat.held) {
        ObjectWriter element(held.next());
        element.string("id", task.id.str());
        element.integer("attempt", task.attempt);
        element.string("phase", held_phases.at(static_cast<std::size_t>(task.phase)));
        if (task.phase != HeldPhase::done && !task.executor.empty()) element.string("executor", task.executor.str());
        if (task.phase == HeldPhase::running) element.integer("run_ms", to_ms(task.run));
        if (to_ms(task.extended) > 0) element.integer("extended_ms", to_ms(task.extended));
      }
    }
    object.integer("clock_unix_ms", beat.clock.unix_ms);
  }
  return out;
}

Result<Heartbeat> decode_heartbeat(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  Heartbeat beat;
  beat.session = read_session(fields);
  beat.sequence = fields.unsigned_integer("sequence").value_or(0);
  beat.coordinator.epoch = read_epoch(fields);
  if (fields.find("coordinator")) beat.coordinator.session = read_session(fields, "coordinator");
  beat.n = fields.unsigned_integer("n").value_or(0);
  beat.uptime = fields.milliseconds("uptime_ms", Duration{0}, std::chrono::hours(24 * 36500)).value_or(Duration{0});
  beat.load = fields.number("load", 0, 1e6).value_or(0);
  beat.free_memory_bytes = fields.unsigned_integer("free_memory_bytes").value_or(0);
  beat.clock.unix_ms = fields.integer("clock_unix_ms", 0, std::numeric_limits<std::int64_t>::max()).value_or(0);
  if (const auto slice = fields.find("free_slots")) {
    const auto free = json::Object::read(*slice).value_or(json::Object{});
    if (slice->front() != '{') fields.fail("`free_slots` is not an object");
    for (const auto& [name, value] : free.members()) {
      const auto executor = ExecutorName::parse(name);
      const auto slots = json::as_integer(value);
      if (!executor || !slots || *slots < 0 || *slots > most_slots) {
        fields.fail("`free_slots` has an invalid entry");
        break;
      }
      beat.free_slots[*executor] = static_cast<int>(*slots);
    }
  }
  // A beat is bounded by bytes, not by elements: missing elements would look like lost tasks.
  auto held = read_elements<HeldTask>(
      fields, "tasks",
      [](Fields& element) {
        HeldTask task;
        task.id = read_id(element);
        task.attempt = read_attempt(element);
        task.phase = read_word<HeldPhase>(element, "phase", held_phases).value_or(HeldPhase::waiting);
        task.executor = element.name<ExecutorName>("executor", name_rule).value_or(ExecutorName{});
        task.run = element.milliseconds("run_ms", Duration{0}, longest_run).value_or(Duration{0});
        task.extended = element.milliseconds("extended_ms", Duration{0}, most_extension).value_or(Duration{0});
        return task;
      },
      limits::payload_bytes);
  // An incomplete list would report a task as absent that the agent holds.
  if (!held.bad.empty()) fields.fail("`tasks`: " + held.bad.front());
  beat.held = std::move(held.good);
  return finish(fields, std::move(beat));
}

// ---- agents/<agent>/temperature

std::string encode(const Temperature& temperature) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("session", temperature.session.str());
    if (temperature.celsius) object.number("celsius", *temperature.celsius);
    object.number("trend_per_minute", temperature.trend_per_minute);
    {
      ArrayWriter throttled(object.key("throttled"));
      for (const auto& flag : temperature.throttled) throttled.string(flag);
    }
    object.string("policy", to_string(temperature.policy));
    if (!temperature.sensor.empty()) object.string("sensor", temperature.sensor);
    if (!temperature.problem.empty()) object.string("problem", temperature.problem);
  }
  return out;
}

Result<Temperature> decode_temperature(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  Temperature temperature;
  temperature.session = read_session(fields);
  temperature.celsius = fields.number("celsius", -limits::celsius, limits::celsius);
  temperature.trend_per_minute = fields.number("trend_per_minute", -limits::celsius, limits::celsius).value_or(0);
  temperature.throttled = fields.strings("throttled", 32);
  const auto policy = parse_heat_policy(fields.string("policy").value_or("normal"));
  if (!policy) fields.fail("`policy` is not one of normal, reduced, paused");
  temperature.policy = policy.value_or(HeatPolicy::normal);
  temperature.sensor = fields.string("sensor").value_or("");
  temperature.problem = fields.string("problem").value_or("");
  return finish(fields, std::move(temperature));
}

// ---- tasks/<capability>/<agent>

std::string encode_tasks(const Reign& reign, std::uint64_t n, const std::vector<TaskElement>& elements,
                         std::size_t& first, std::size_t most_bytes) {
  std::string out;
  {
    ObjectWriter object(out);
    write_reign(object, reign);
    object.unsigned_integer("n", n);
    write_elements(object.key("tasks"), elements, first, most_bytes, [](std::string& text, const TaskElement& task) {
      ObjectWriter element(text);
      element.string("id", task.id.str());
      element.integer("attempt", task.attempt);
      element.raw("input", task.input);
      element.integer("timeout_ms", to_ms(task.timeout));
      if (!task.executor.empty()) element.string("executor", task.executor.str());
    });
  }
  return out;
}

Result<TasksMessage> decode_tasks(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  TasksMessage message;
  message.reign = read_reign(fields);
  fields.require("n");
  message.n = fields.unsigned_integer("n").value_or(0);
  message.tasks = read_elements<TaskElement>(fields, "tasks", [](Fields& element) {
    TaskElement task;
    task.id = read_id(element);
    task.attempt = read_attempt(element);
    if (element.ok()) task.input = required_json(element, "input");
    element.require("timeout_ms");
    task.timeout = element.milliseconds("timeout_ms", std::chrono::milliseconds(1)).value_or(Duration{0});
    task.executor = element.name<ExecutorName>("executor", name_rule).value_or(ExecutorName{});
    return task;
  });
  return finish(fields, std::move(message));
}

// ---- results/<agent>

void append_error(std::string& out, const TaskError& error) {
  ObjectWriter object(out);
  object.string("code", error.code);
  object.string("message", cut_front(error.message, limits::error_bytes));
  object.boolean("retryable", error.retryable);
  if (error.retry_after) object.integer("retry_after_ms", to_ms(*error.retry_after));
}

namespace {

TaskError read_error(Fields& fields) {
  TaskError error;
  fields.require("code");
  // Truncated rather than refused: the agent would resend a refused result without end.
  error.code = cut_front(fields.string("code", limits::payload_bytes).value_or(""), most_code_bytes);
  error.message = cut_front(fields.string("message", limits::payload_bytes).value_or(""), limits::error_bytes);
  error.retryable = fields.boolean("retryable").value_or(false);
  error.retry_after = fields.milliseconds("retry_after_ms");
  return error;
}

}  // namespace

Result<TaskError> decode_error(std::string_view text) {
  auto fields = Fields::untrusted(text);
  auto error = read_error(fields);
  return finish(fields, std::move(error));
}

std::string encode_results(const SessionId& session, const std::vector<TaskResult>& elements, std::size_t& first,
                           std::size_t most_bytes) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("session", session.str());
    write_elements(object.key("results"), elements, first, most_bytes, [](std::string& text, const TaskResult& result) {
      ObjectWriter element(text);
      element.string("id", result.id.str());
      element.integer("attempt", result.attempt);
      if (!result.capability.empty()) element.string("capability", result.capability.str());
      element.string("status", to_string(result.status));
      if (result.status == ResultStatus::succeeded || result.output != "null") element.raw("output", result.output);
      if (result.error) append_error(element.key("error"), *result.error);
      element.number("run_ms", static_cast<double>(result.run.count()) / 1e6);
      if (!result.usage.empty()) element.raw("usage", result.usage);
    });
  }
  return out;
}

namespace {

TaskResult read_result(Fields& fields) {
  TaskResult result;
  result.id = read_id(fields);
  result.attempt = read_attempt(fields);
  result.capability = fields.name<Capability>("capability", capability_rule).value_or(Capability{});
  fields.require("status");
  const auto status = parse_result_status(fields.string("status").value_or(""));
  if (!status) fields.fail("`status` is not one of succeeded, failed, cancelled, returned");
  result.status = status.value_or(ResultStatus::failed);
  if (!fields.ok()) return result;
  result.output = std::string(fields.object().find("output").value_or("null"));
  if (!json::part_is_shallow(result.output)) fields.fail("`output` is nested too deeply");
  if (const auto slice = fields.find("error")) {
    Fields error(*slice);
    result.error = read_error(error);
    if (!error.ok()) fields.fail("`error`: " + error.error().message);
  } else if (result.status == ResultStatus::failed) {
    fields.fail("`error` is missing from a failed result");
  }
  const double longest_ms = static_cast<double>(to_ms(limits::longest));
  const double run_ms = fields.number("run_ms").value_or(0);
  if (run_ms < 0 || run_ms > longest_ms) fields.fail("`run_ms` is out of range");
  result.run = Duration{std::llround(run_ms * 1e6)};
  if (const auto usage = fields.find("usage")) {
    if (usage->front() != '{' || !json::part_is_shallow(*usage)) fields.fail("`usage` is not a (shallow) object");
    result.usage = std::string(*usage);
  }
  return result;
}

}  // namespace

Result<ResultsMessage> decode_results(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  ResultsMessage message;
  message.session = read_session(fields);
  message.results = read_elements<TaskResult>(fields, "results", read_result);
  return finish(fields, std::move(message));
}

// ---- streams/<agent>

std::string encode(const StreamMessage& message) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("session", message.session.str());
    object.string("id", message.id.str());
    object.integer("attempt", message.attempt);
    object.unsigned_integer("at", message.at);
    object.string("delta", message.delta);
    if (!message.channel.empty()) object.string("channel", message.channel);
    if (message.percent) object.integer("percent", *message.percent);
    if (message.completed_bytes) object.unsigned_integer("completed_bytes", *message.completed_bytes);
    if (message.total_bytes) object.unsigned_integer("total_bytes", *message.total_bytes);
  }
  return out;
}

Result<StreamMessage> decode_stream(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  StreamMessage message;
  message.session = read_session(fields);
  message.id = read_id(fields);
  message.attempt = read_attempt(fields);
  message.at = fields.unsigned_integer("at").value_or(0);
  message.delta = fields.string("delta", limits::payload_bytes).value_or("");
  message.channel = fields.string("channel", 32).value_or("");
  if (const auto percent = fields.integer("percent", 0, 100)) message.percent = static_cast<int>(*percent);
  message.completed_bytes = fields.unsigned_integer("completed_bytes");
  message.total_bytes = fields.unsigned_integer("total_bytes");
  return finish(fields, std::move(message));
}

// ---- control/<agent>

std::string encode_control(const Reign& reign, ControlType type, const std::vector<AttemptRef>& elements,
                           std::size_t& first, std::size_t most_bytes) {
  std::string out;
  {
    ObjectWriter object(out);
    write_reign(object, reign);
    object.string("type", to_string(type));
    if (!elements.empty()) {
      write_elements(object.key("tasks"), elements, first, most_bytes, [](std::string& text, const AttemptRef& ref) {
        ObjectWriter element(text);
        element.string("id", ref.id.str());
        element.integer("attempt", ref.attempt);
        if (ref.unknown) element.boolean("unknown", true);
      });
    }
  }
  return out;
}

Result<ControlMessage> decode_control(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  ControlMessage message;
  message.reign = read_reign(fields);
  message.type = read_word<ControlType>(fields, "type", control_types).value_or(ControlType::acknowledge);
  if (fields.find("tasks")) {
    message.tasks = read_elements<AttemptRef>(fields, "tasks", [](Fields& element) {
      AttemptRef ref;
      ref.id = read_id(element);
      ref.attempt = read_attempt(element);
      ref.unknown = element.boolean("unknown").value_or(false);
      return ref;
    });
  }
  return finish(fields, std::move(message));
}

// ---- coordinator/status

std::string encode(const CoordinatorStatus& status) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("state", coordinator_states.at(static_cast<std::size_t>(status.state)));
    write_reign(object, status.reign);
  }
  return out;
}

// ---- coordinator/beat

std::string encode(const CoordinatorBeat& beat) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("store", beat.store);
    write_reign(object, beat.reign);
  }
  return out;
}

Result<CoordinatorBeat> decode_coordinator_beat(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  CoordinatorBeat beat;
  fields.require("store");
  beat.store = fields.string("store", 64).value_or("");
  beat.reign = read_reign(fields);
  return finish(fields, std::move(beat));
}

Result<CoordinatorStatus> decode_coordinator_status(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  CoordinatorStatus status;
  status.state = read_word<CoordinatorState>(fields, "state", coordinator_states).value_or(CoordinatorState::offline);
  status.reign = read_reign(fields);
  return finish(fields, std::move(status));
}

}  // namespace edgefleet::protocol
