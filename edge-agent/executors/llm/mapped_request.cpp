#include "edge-agent/executors/llm/mapped_request.hpp"

#include <algorithm>
#include <array>

namespace edgefleet::agent::llm {
namespace {

constexpr std::array<std::string_view, 5> roles = {"system", "developer", "user", "assistant", "tool"};

bool absent_or(bool (*is)(std::string_view), std::string_view value) { return value == "null" || is(value); }

Status check_part(const Members& part) {
  if (!part.is_object()) return invalid("each part of a message's `content` must be an object");
  const auto type = part.text("type");
  const bool words = type == "text" || type == "refusal";
  if (words && !is_text(part.at(type)))
    return invalid("a part of type `" + type + "` must have its text in `" + type + "`");
  return success();
}

Status check_call(const Members& call) {
  const auto type = call.text("type");
  const bool function = type == "function" || !call.has("type");
  if (!function) return unsupported("a tool call of type `" + type + "` is not supported: functions only");
  if (call.object("function").text("name").empty())
    return invalid("each of `tool_calls` must have a function with a name");
  return success();
}

Status check_calls(const Members& message) {
  if (message.has("function_call")) return invalid("`function_call` of a message is not supported: use `tool_calls`");
  const auto calls = message.at("tool_calls");
  if (!absent_or(is_list, calls)) return invalid("`tool_calls` of a message must be a list");
  for (const std::string_view call : list_of(calls)) {
    if (auto good = check_call(Members(call)); !good) return good;
  }
  return success();
}

Status check_message(const Members& message, std::string_view provider) {
  const auto role = message.text("role");
  if (std::ranges::count(roles, role) == 0) {
    return invalid("a message's `role` must be system, developer, user, assistant or tool, not `" + role + "`");
  }
  if (message.has("audio")) {
    return unsupported("`audio` of a message is not supported by " + std::string(provider));
  }
  if (!absent_or(is_text, message.at("refusal"))) return invalid("`refusal` of a message must be text");
  for (const std::string_view part : message.list("content")) {
    if (auto good = check_part(Members(part)); !good) return good;
  }
  return check_calls(message);
}

Status check_format(const Members& request) {
  const auto format = request.at("response_format");
  if (!absent_or(is_object, format)) return invalid("`response_format` must be an object with a `type`");
  const Members members(format);
  if (members.text("type").empty() && !members.all().members().empty()) {
    return invalid("`response_format` has no `type`");
  }
  return success();
}

Status check_tools(const Members& request) {
  const auto tools = request.at("tools");
  if (!absent_or(is_list, tools)) return invalid("`tools` must be a list");
  const auto choice = request.at("tool_choice");
  const bool free = choice == "null" || choice == R"("auto")" || choice == R"("none")";
  if (!free && list_of(tools).empty()) return invalid("`tool_choice` demands a call, but there are no `tools`");
  return success();
}

Status check_texts(const Members& request) {
  if (!absent_or(is_text, request.at("reasoning_effort"))) return invalid("`reasoning_effort` must be text");
  const auto stop = request.at("stop");
  const auto stops = list_of(stop);
  const bool texts = is_list(stop) && std::ranges::all_of(stops, is_text);
  return absent_or(is_text, stop) || texts ? success() : invalid("`stop` must be a text or a list of texts");
}

}  // namespace

Status check_mapped(const Members& request, std::string_view provider) {
  if (auto good = check_format(request); !good) return good;
  if (auto good = check_tools(request); !good) return good;
  if (auto good = check_texts(request); !good) return good;
  for (const std::string_view message : request.list("messages")) {
    if (auto good = check_message(Members(message), provider); !good) return good;
  }
  return success();
}

}  // namespace edgefleet::agent::llm
