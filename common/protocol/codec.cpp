#include "common/protocol/codec.hpp"

#include <algorithm>
#include <cmath>

#include "common/core/artifact_id.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/codec_parts.hpp"

namespace edgefleet::protocol {
namespace {

constexpr std::array<std::string_view, 9> control_types{"acknowledge", "cancel",   "recall", "drain", "resume",
                                                        "introduce",   "describe", "upload", "reload"};
constexpr std::array<std::string_view, 3> coordinator_states{"online", "offline", "lost"};
constexpr std::size_t most_code_bytes = 64;  // of an error

std::vector<std::string> read_artifacts(Fields& fields) {
  auto ids = fields.strings("artifacts", limits::text_artifacts);
  if (!std::all_of(ids.begin(), ids.end(), valid_artifact_id)) fields.fail("`artifacts` are not ids of artifacts");
  return ids;
}

TextFile read_text_file(Fields& fields) {
  TextFile file;
  fields.require("artifact");
  fields.require("bytes");
  file.artifact = fields.string("artifact").value_or("");
  file.bytes = fields.unsigned_integer("bytes").value_or(0);
  if (!valid_artifact_id(file.artifact)) fields.fail("`artifact` is not the id of an artifact");
  if (file.bytes > limits::most_task_bytes) fields.fail("`bytes` is out of range");
  if (fields.find("artifacts")) file.artifacts = read_artifacts(fields);
  return file;
}

std::optional<TextFile> read_text_file(Fields& fields, std::string_view name) {
  const auto slice = fields.find(name);
  if (!slice) return std::nullopt;
  Fields object(*slice);
  auto file = read_text_file(object);
  if (!object.ok()) fields.fail("`" + std::string(name) + "`: " + object.error().message);
  return file;
}

std::string required_json(Fields& fields, std::string_view name) {
  const auto slice = fields.object().find(name);
  if (!slice) fields.fail("`" + std::string(name) + "` is missing");
  if (slice && !json::part_is_shallow(*slice)) fields.fail("`" + std::string(name) + "` is nested too deeply");
  return std::string(slice.value_or("null"));
}

}  // namespace

std::string_view to_string(ControlType type) { return control_types.at(static_cast<std::size_t>(type)); }

void append_text_file(std::string& out, const TextFile& file) {
  ObjectWriter object(out);
  object.string("artifact", file.artifact);
  object.unsigned_integer("bytes", file.bytes);
  if (file.artifacts.empty()) return;
  ArrayWriter artifacts(object.key("artifacts"));
  for (const auto& id : file.artifacts) artifacts.string(id);
}

Result<TextFile> decode_text_file(std::string_view json) {
  auto fields = Fields::untrusted(json);
  auto file = read_text_file(fields);
  return finish(fields, std::move(file));
}

// ---- tasks/<capability>/<agent>

std::string encode_tasks(const Reign& reign, std::uint64_t n, std::uint64_t max_output_bytes,
                         const std::vector<TaskElement>& elements, std::size_t& first, std::size_t most_bytes) {
  std::string out;
  {
    ObjectWriter object(out);
    write_reign(object, reign);
    object.unsigned_integer("n", n);
    object.unsigned_integer("max_output_bytes", max_output_bytes);
    write_elements(object.key("tasks"), elements, first, most_bytes, [](std::string& text, const TaskElement& task) {
      ObjectWriter element(text);
      element.string("id", task.id.str());
      element.integer("attempt", task.attempt);
      if (task.input_at) {
        append_text_file(element.key("input_at"), {task.input_at->artifact, task.input_at->bytes, {}});
      } else {
        element.raw("input", task.input);
      }
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
  message.max_output_bytes = std::min<std::uint64_t>(
      fields.unsigned_integer("max_output_bytes").value_or(limits::input_bytes), limits::most_task_bytes);
  message.tasks = read_elements<TaskElement>(fields, "tasks", [](Fields& element) {
    TaskElement task;
    task.id = read_id(element);
    task.attempt = read_attempt(element);
    task.input_at = read_text_file(element, "input_at");
    if (element.ok() && !task.input_at) task.input = required_json(element, "input");
    if (task.input_at) {
      task.input_at->artifacts.clear();
      task.input = "null";
    }
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
      if (result.output_at) {
        append_text_file(element.key("output_at"), *result.output_at);
      } else if (result.status == ResultStatus::succeeded || result.output != "null") {
        element.raw("output", result.output);
      }
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
  result.output_at = read_text_file(fields, "output_at");
  if (!result.output_at) result.output = std::string(fields.object().find("output").value_or("null"));
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
    if (message.channel != Channel::note) {
      object.string("channel", to_string(message.channel));
    }
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
  if (fields.find("channel")) {
    message.channel = read_word<Channel>(fields, "channel", channel_words).value_or(Channel::note);
  }
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
        if (ref.artifacts.empty()) return;
        ArrayWriter artifacts(element.key("artifacts"));
        for (const auto& id : ref.artifacts) artifacts.string(id);
      });
    }
  }
  return out;
}

std::string encode_describe(const Reign& reign, const std::vector<std::string>& digests) {
  std::string out;
  {
    ObjectWriter object(out);
    write_reign(object, reign);
    object.string("type", to_string(ControlType::describe));
    ArrayWriter all(object.key("digests"));
    for (const auto& digest : digests) all.string(digest);
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
      if (element.find("artifacts")) ref.artifacts = read_artifacts(element);
      return ref;
    });
  }
  if (fields.find("digests")) message.digests = fields.strings("digests", limits::message_elements);
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

Result<CoordinatorStatus> decode_coordinator_status(std::string_view payload) {
  auto fields = Fields::untrusted(payload);
  CoordinatorStatus status;
  status.state = read_word<CoordinatorState>(fields, "state", coordinator_states).value_or(CoordinatorState::offline);
  status.reign = read_reign(fields);
  return finish(fields, std::move(status));
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

}  // namespace edgefleet::protocol
