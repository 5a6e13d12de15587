#include "edge-agent/plugins/image/protocol.hpp"

#include <limits>
#include <optional>
#include <utility>

namespace edgefleet::image {
namespace {

using nlohmann::json;

constexpr int kMostDepth = 32;

std::string line_of(const json& message) {
  // File names and library messages may contain any bytes: invalid UTF-8 is replaced, it does not throw.
  return message.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

json about(const TaskKey& key, const char* type) { return {{"type", type}, {"id", key.id}, {"attempt", key.attempt}}; }

std::string text_of(const json& message, const char* field) {
  const auto found = message.find(field);
  return found != message.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

std::optional<TaskKey> key_of(const json& message) {
  const auto attempt = message.find("attempt");
  if (attempt == message.end() || !attempt->is_number_integer()) return std::nullopt;
  const auto number = attempt->get<std::int64_t>();
  TaskKey key{text_of(message, "id"), static_cast<int>(number)};
  if (key.id.empty() || number < 0 || number > std::numeric_limits<int>::max()) return std::nullopt;
  return key;
}

}  // namespace

Message parse_message(std::string_view line) {
  // Copying or writing a JSON value recurses: parts that are nested deeper than any valid request are omitted.
  const auto shallow = [](int depth, json::parse_event_t, const json&) { return depth <= kMostDepth; };
  json message = json::parse(line, shallow, false);
  if (!message.is_object()) return Ignored{"a line is not a JSON object"};
  const std::string type = text_of(message, "type");
  if (type != "task" && type != "cancel") return Ignored{type.empty() ? "a message without a type" : ""};
  const auto key = key_of(message);
  if (!key) return Ignored{"a " + type + " without id (text) and attempt (whole number)"};
  if (type == "cancel") return Cancel{*key};
  json input = message.contains("input") ? std::move(message["input"]) : json();
  return Task{*key, text_of(message, "capability"), std::move(input), text_of(message, "scratch")};
}

std::string hello_line(std::span<const std::string> capabilities, unsigned slots, const json& parameters) {
  json message{{"type", "hello"}, {"protocol", 1}, {"name", "image"}, {"version", EDGEFLEET_VERSION}, {"slots", slots}};
  for (const auto& capability : capabilities) message["capabilities"].push_back(capability);
  message["parameters"] = parameters;
  return line_of(message);
}

std::string progress_line(const TaskKey& key, int percent, std::string_view text) {
  json message = about(key, "progress");
  message["percent"] = percent;
  message["text"] = text;
  return line_of(message);
}

std::string result_line(const TaskKey& key, const json& output) {
  json message = about(key, "result");
  message["output"] = output;
  return line_of(message);
}

std::string failure_line(const TaskKey& key, const Failure& failure) {
  json message = about(key, "result");
  message["error"] = {{"code", failure.code}, {"message", failure.message}, {"retryable", failure.retryable}};
  return line_of(message);
}

}  // namespace edgefleet::image
