#include "edge-agent/executors/plugin/messages.hpp"

#include <algorithm>

#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/plugin/broken_line.hpp"

namespace edgefleet::agent {
namespace {

constexpr std::size_t most_capabilities = 64;
constexpr std::int64_t most_slots = 256;
constexpr std::size_t longest_progress = 4096;

std::optional<std::string> string_at(const json::Object& object, std::string_view key) {
  const auto value = object.find(key);
  return value ? json::as_string(*value) : std::nullopt;
}

std::optional<std::int64_t> integer_at(const json::Object& object, std::string_view key) {
  const auto value = object.find(key);
  return value ? json::as_integer(*value) : std::nullopt;
}

std::optional<json::Object> read_message(std::string_view line) {
  return json::well_formed(line) ? json::Object::read(line) : std::nullopt;
}

Result<std::vector<Capability>> capabilities_of(const json::Object& object) {
  const auto value = object.find("capabilities");
  const auto elements = value ? json::elements(*value) : std::nullopt;
  if (!elements || elements->empty() || elements->size() > most_capabilities) {
    return invalid("its hello has no \"capabilities\", or more than 64");
  }
  std::vector<Capability> all;
  for (const auto element : *elements) {
    const auto text = json::as_string(element);
    const auto capability = text ? Capability::parse(*text) : std::nullopt;
    if (!capability) {
      return invalid("its hello names the capability " + std::string(cut_front(element, 100)) + ", which must be " +
                     std::string(capability_rule));
    }
    all.push_back(*capability);
  }
  return all;
}

// Entries for other capabilities are ignored. The loop checks the schemas: one that cannot be used is no reason to do
// without the plug-in.
Status take_parameters(PluginHello& hello, const json::Object& object) {
  const auto value = object.find("parameters");
  if (!value || *value == "null") return success();
  const auto all = json::Object::read(*value);
  if (!all) return invalid("its hello's \"parameters\" are not an object");
  for (const Capability& capability : hello.capabilities) {
    if (const auto schema = all->find(capability.str())) hello.parameters[capability] = *schema;
  }
  return success();
}

std::optional<AttemptKey> key_of(const json::Object& object) {
  const auto text = string_at(object, "id");
  const auto id = text ? TaskId::parse(*text) : std::nullopt;
  const auto attempt = integer_at(object, "attempt");
  if (!id || !attempt || *attempt < 1 || *attempt > 1'000'000) return std::nullopt;
  return AttemptKey{*id, static_cast<int>(*attempt)};
}

bool code_word(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

TaskError error_of(std::string_view value) {
  const auto object = json::Object::read(value);
  const auto code = object ? string_at(*object, "code") : std::nullopt;
  if (!code || !code_word(*code)) {
    return {"plugin_error", "the plug-in failed: " + std::string(cut_front(value, 1000)), false, {}};
  }
  const auto message = string_at(*object, "message").value_or("");
  const auto retryable = object->find("retryable");
  return {*code,
          std::string(cut_front(message, limits::error_bytes)),
          retryable && json::as_bool(*retryable).value_or(false),
          {}};
}

PluginProgress progress_of(AttemptKey key, const json::Object& object) {
  Progress progress;
  progress.percent = static_cast<int>(std::clamp<std::int64_t>(integer_at(object, "percent").value_or(-1), -1, 100));
  progress.text = cut_front(string_at(object, "text").value_or(""), longest_progress);
  return {key, std::move(progress)};
}

PluginResult result_of(AttemptKey key, const json::Object& object) {
  PluginResult result;
  result.key = key;
  const auto output = object.find("output");
  const auto error = object.find("error");
  if (error && *error != "null") {
    result.error = error_of(*error);
  } else if (!output) {
    result.error = TaskError{"plugin_error", "the plug-in's result has neither an output nor an error", false, {}};
  }
  if (output) result.output = *output;
  return result;
}

}  // namespace

Result<PluginHello> parse_hello(std::string_view line) {
  const auto object = read_message(line);
  if (!object || string_at(*object, "type") != "hello") {
    return invalid("its first line is not a hello: " + valid_utf8(cut_front(line, 200)));
  }
  if (integer_at(*object, "protocol") != plugin_protocol) {
    return invalid("its hello is not of protocol 1");
  }
  PluginHello hello;
  auto capabilities = capabilities_of(*object);
  if (!capabilities) return capabilities.error();
  hello.capabilities = std::move(*capabilities);
  if (auto taken = take_parameters(hello, *object); !taken) return taken.error();
  const auto slots = object->find("slots") ? integer_at(*object, "slots") : 1;
  if (!slots || *slots < 1 || *slots > most_slots) return invalid("its hello must have \"slots\" from 1 to 256");
  hello.slots = static_cast<int>(*slots);
  hello.version = cut_front(string_at(*object, "version").value_or(""), 64);
  return hello;
}

Result<std::variant<PluginProgress, PluginResult>> parse_plugin_line(std::string_view line, std::size_t longest) {
  using Message = std::variant<PluginProgress, PluginResult>;
  const auto object = read_message(line);
  if (!object && json::well_formed(line)) return invalid("not an object: " + std::string(cut_front(line, 200)));
  if (!object) {
    if (auto broken = result_of_broken(line, longest)) return Message(std::move(*broken));
    return invalid(what_is_broken(line, longest));
  }
  const auto type = string_at(*object, "type").value_or("");
  if (type != "progress" && type != "result")
    return invalid("a message of unknown type \"" + std::string(cut_front(type, 64)) + '"');
  const auto key = key_of(*object);
  if (!key) return invalid("a " + type + " without \"id\" and \"attempt\"");
  if (type == "progress") return Message(progress_of(*key, *object));
  return Message(result_of(*key, *object));
}

std::string task_line(const Job& job, std::string_view input, const std::string& scratch) {
  std::string line;
  {
    json::ObjectWriter writer(line);
    writer.string("type", "task");
    writer.string("id", job.id.str());
    writer.integer("attempt", job.attempt);
    writer.string("capability", job.capability.str());
    writer.raw("input", input);
    writer.integer("timeout_ms", to_ms(job.timeout));
    writer.string("scratch", scratch);
  }
  // In well-formed JSON these occur only between values.
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line += '\n';
}

std::string cancel_line(const AttemptKey& key) {
  std::string line;
  {
    json::ObjectWriter writer(line);
    writer.string("type", "cancel");
    writer.string("id", key.id.str());
    writer.integer("attempt", key.attempt);
  }
  return line += '\n';
}

}  // namespace edgefleet::agent
