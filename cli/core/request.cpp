#include "cli/core/request.hpp"

#include "cli/core/text.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

Error wrong(const std::string& message) { return Error{message, ErrorKind::invalid}; }

Result<JsonText> within_limits(JsonText input, const std::string& source) {
  if (input.size() <= limits::most_task_bytes) return input;  // the coordinator's bound may be lower
  return Error{source + " has " + show_bytes(input.size()) + "; the input of a task has at most " +
                   show_bytes(limits::most_task_bytes) +
                   ": store it with edgefleet put, and name the artifact in the input",
               ErrorKind::too_large};
}

void add_ms(json::ObjectWriter& object, std::string_view key, const std::optional<Duration>& duration) {
  if (duration) object.integer(key, to_ms(*duration));
}

}  // namespace

std::string to_body(const TaskRequest& request) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("capability", request.capability.str());
    object.raw("input", request.input);
    if (!request.name.empty()) object.string("name", request.name);
    if (request.priority) object.integer("priority", *request.priority);
    add_ms(object, "timeout_ms", request.timeout);
    add_ms(object, "expires_after_ms", request.expires_after);
    add_ms(object, "delay_ms", request.delay);
    if (request.max_attempts) object.integer("max_attempts", *request.max_attempts);
    if (!request.idempotency_key.empty()) object.string("idempotency_key", request.idempotency_key);
    if (!request.where.empty()) {
      json::ObjectWriter where(object.key("where"));
      for (const auto& [key, value] : request.where) where.string(key, value);
    }
  }
  return body;
}

Result<JsonText> check_input(std::string_view text, const std::string& source) {
  const auto value = trimmed(text);
  if (value.empty()) return wrong(source + " is empty: the input of a task is JSON; for no input pass null");
  if (json::well_formed(value)) return within_limits(JsonText(value), source);
  return wrong(source +
               " is not valid JSON; a string needs double quotes, and quotes around them for the shell: "
               "'\"text\"'; or pass --text to send it as a string");
}

Result<JsonText> text_input(std::string_view text, const std::string& source) {
  auto quoted = json::quoted(text);
  const auto back = json::as_string(quoted);
  if (!back || *back != text) return wrong(source + " is not text in UTF-8; store it with edgefleet put");
  return within_limits(std::move(quoted), source);
}

}  // namespace edgefleet::cli
