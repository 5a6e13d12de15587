// agents/<agent>/...
#include <algorithm>
#include <cmath>

#include "common/protocol/codec_parts.hpp"

namespace edgefleet::protocol {
namespace {

constexpr std::array<std::string_view, 3> held_phases{"waiting", "running", "done"};
constexpr Duration longest_run = std::chrono::hours(24 * 365);
constexpr Duration longest_uptime = std::chrono::hours(24 * 36500);
constexpr Duration most_extension = 10 * limits::longest;
constexpr int most_slots = 10'000;

}  // namespace

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
  if (executor.parameters.empty()) return;
  ObjectWriter parameters(object.key("parameters"));
  for (const auto& [capability, digest] : executor.parameters) parameters.string(capability.str(), digest);
}

void write_gpus(ObjectWriter& object, const std::vector<GpuInfo>& gpus) {
  ArrayWriter all(object.key("gpus"));
  for (const GpuInfo& gpu : gpus) {
    ObjectWriter element(all.next());
    element.string("name", gpu.name);
    if (gpu.memory_bytes > 0) element.unsigned_integer("memory_bytes", gpu.memory_bytes);
  }
}

GpuInfo read_gpu(Fields& fields) {
  return {fields.string("name", limits::name_bytes).value_or(""), fields.unsigned_integer("memory_bytes").value_or(0)};
}

std::optional<ConfigReport> read_config(Fields& fields) {
  const auto slice = fields.find("config");
  if (!slice) return std::nullopt;
  Fields config(*slice);
  ConfigReport report{config.unsigned_integer("reloads").value_or(0), config.string("changes").value_or(""),
                      config.string("restart").value_or(""), config.string("problem").value_or("")};
  if (!config.ok()) fields.fail("`config`: " + config.error().message);
  return report;
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
  // A name that is no digest is ignored: the capability works without a description.
  for (const auto& [name, digest] : fields.string_map("parameters", 256, limits::name_bytes)) {
    const auto capability = Capability::parse(name);
    if (capability && valid_digest(digest)) executor.parameters[*capability] = digest;
  }
  return executor;
}

}  // namespace

void append_config(std::string& out, const ConfigReport& config) {
  ObjectWriter object(out);
  object.unsigned_integer("reloads", config.reloads);
  if (!config.changes.empty()) object.string("changes", config.changes);
  if (!config.restart.empty()) object.string("restart", config.restart);
  if (!config.problem.empty()) object.string("problem", config.problem);
}

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
    if (info.max_task_bytes > 0) object.unsigned_integer("max_task_bytes", info.max_task_bytes);
    if (!info.address.empty()) object.string("address", info.address);
    if (!info.gpus.empty()) write_gpus(object, info.gpus);
    if (info.config) append_config(object.key("config"), *info.config);
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
  info.max_task_bytes = fields.unsigned_integer("max_task_bytes").value_or(0);
  info.address = fields.string("address", 64).value_or("");
  info.config = read_config(fields);
  std::vector<std::string> bad;
  if (fields.find("gpus")) {
    auto gpus = read_elements<GpuInfo>(fields, "gpus", read_gpu, limits::gpus);
    info.gpus = std::move(gpus.good);
    bad = std::move(gpus.bad);
  }
  info.labels = fields.string_map("labels", limits::labels, limits::label_bytes);
  auto executors = read_elements<ExecutorInfo>(fields, "executors", read_executor);
  info.executors = std::move(executors.good);
  bad.insert(bad.end(), executors.bad.begin(), executors.bad.end());
  return finish(fields, AgentInfoMessage{std::move(info), std::move(bad)});
}

// ---- agents/<agent>/heartbeat

namespace {

void write_gpu_celsius(ObjectWriter& object, const std::vector<std::optional<double>>& all) {
  ArrayWriter array(object.key("gpu_celsius"));
  for (const auto& celsius : all) array.number(celsius.value_or(std::numeric_limits<double>::quiet_NaN()));
}

// One that is no temperature counts as unknown.
std::vector<std::optional<double>> read_gpu_celsius(Fields& fields) {
  std::vector<std::optional<double>> all;
  for (const auto slice : fields.array("gpu_celsius")) {
    if (all.size() >= limits::gpus) break;
    auto celsius = json::as_number(slice);
    if (celsius && !(std::abs(*celsius) <= limits::celsius)) celsius.reset();
    all.push_back(celsius);
  }
  return all;
}

}  // namespace

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
    if (beat.free_disk_bytes > 0) object.unsigned_integer("free_disk_bytes", beat.free_disk_bytes);
    if (beat.status_for) object.integer("status_ms", to_ms(*beat.status_for));
    object.unsigned_integer("succeeded", beat.succeeded);
    object.unsigned_integer("failed", beat.failed);
    if (!beat.gpu_celsius.empty()) write_gpu_celsius(object, beat.gpu_celsius);
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
  beat.uptime = fields.milliseconds("uptime_ms", Duration{0}, longest_uptime).value_or(Duration{0});
  beat.load = fields.number("load", 0, 1e6).value_or(0);
  beat.free_memory_bytes = fields.unsigned_integer("free_memory_bytes").value_or(0);
  beat.free_disk_bytes = fields.unsigned_integer("free_disk_bytes").value_or(0);
  beat.status_for = fields.milliseconds("status_ms", Duration{0}, longest_uptime);
  beat.succeeded = fields.unsigned_integer("succeeded").value_or(0);
  beat.failed = fields.unsigned_integer("failed").value_or(0);
  beat.gpu_celsius = read_gpu_celsius(fields);
  beat.clock.unix_ms = fields.integer("clock_unix_ms", 0, std::numeric_limits<std::int64_t>::max()).value_or(0);
  if (const auto slice = fields.find("free_slots")) {
    const auto free = json::Object::read(*slice).value_or(json::Object{});
    if (slice->front() != '{') fields.fail("`free_slots` is not an object");
    if (free.members().size() > limits::message_elements) fields.fail("`free_slots` has too many members");
    for (const auto& [name, value] : free.members()) {
      const auto executor = ExecutorName::parse(name);
      const auto slots = json::as_integer(value);
      if (!fields.ok()) break;
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

// ---- agents/<agent>/parameters

bool valid_digest(std::string_view text) {
  return text.size() == 32 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string encode_parameters(const SessionId& session, const std::vector<ParametersElement>& elements,
                              std::size_t& first, std::size_t most_bytes) {
  std::string out;
  {
    ObjectWriter object(out);
    object.string("session", session.str());
    write_elements(object.key("parameters"), elements, first, most_bytes,
                   [](std::string& text, const ParametersElement& one) {
                     ObjectWriter element(text);
                     element.string("digest", one.digest);
                     element.raw("schema", one.schema);
                   });
  }
  return out;
}

Result<ParametersMessage> decode_parameters(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  ParametersMessage message;
  message.session = read_session(fields);
  message.parameters = read_elements<ParametersElement>(fields, "parameters", [](Fields& element) {
    ParametersElement one;
    one.digest = element.string("digest").value_or("");
    if (!valid_digest(one.digest)) element.fail("`digest` is not 32 hexadecimal digits");
    if (element.require("schema")) one.schema = std::string(*element.find("schema"));
    return one;
  });
  return finish(fields, std::move(message));
}

}  // namespace edgefleet::protocol
