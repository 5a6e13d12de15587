#include "edge-agent/executors/llm/answer.hpp"

namespace edgefleet::agent::llm {
namespace {

const Json nothing;
constexpr std::size_t most_tool_calls = 128;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

const Json& at(const Json& object, const char* key) {
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

const Json& first_of(const Json& object, const char* key) {
  const Json& array = at(object, key);
  return array.is_array() && !array.empty() ? array.front() : nothing;
}

std::string text_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<std::int64_t> count_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  if (!value.is_number_integer()) return std::nullopt;
  return std::max<std::int64_t>(0, value.get<std::int64_t>());
}

std::optional<double> number_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

void Answer::add_text(std::string_view text, bool reasoning) {
  if (text.empty()) return;
  begun_ = true;
  (reasoning ? reasoning_ : text_) += text;
  if (on_text_) on_text_(text, reasoning);
}

void Answer::add_tool_call(const Json& piece) {
  const auto index = static_cast<std::size_t>(count_at(piece, "index").value_or(std::int64_t(tool_calls_.size())));
  if (index >= most_tool_calls) {
    return fail(TaskError{
        "bad_answer", "the back end made more than " + std::to_string(most_tool_calls) + " tool calls", true, {}});
  }
  begun_ = true;
  while (tool_calls_.size() <= index) {
    tool_calls_.push_back({{"id", ""}, {"type", "function"}, {"function", {{"name", ""}, {"arguments", ""}}}});
  }
  Json& call = tool_calls_[index];
  if (const auto id = text_at(piece, "id"); !id.empty()) call["id"] = id;
  const Json& function = at(piece, "function");
  for (const char* key : {"name", "arguments"}) {
    const auto more = text_at(function, key);
    auto& whole = call["function"][key].get_ref<std::string&>();
    // Some servers repeat the name; none splits it.
    whole = std::string_view(key) == "name" && !whole.empty() ? whole : whole + more;
    tool_bytes_ += more.size();
  }
}

Json Answer::message() const {
  Json message = {{"role", "assistant"}, {"content", nullptr}};
  if (!text_.empty() || tool_calls_.empty()) message["content"] = text_;
  if (!reasoning_.empty()) message["reasoning_content"] = reasoning_;
  if (!tool_calls_.empty()) message["tool_calls"] = tool_calls_;
  return message;
}

std::string Answer::output(RequestKind kind) const {
  Json output = {{"model", model}};
  if (kind == RequestKind::embed) {
    output["data"] = embeddings;
    return dump(output);
  }
  Json choice = {{"index", 0}, {"finish_reason", finish_reason.empty() ? "stop" : finish_reason}};
  if (kind == RequestKind::chat) {
    choice["message"] = message();
  } else {
    choice["text"] = text_;
  }
  if (!logprobs.is_null()) choice["logprobs"] = logprobs;
  output["choices"] = Json::array({choice});
  return dump(output);
}

}  // namespace edgefleet::agent::llm
