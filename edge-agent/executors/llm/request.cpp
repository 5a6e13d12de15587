#include "edge-agent/executors/llm/request.hpp"

#include <algorithm>

namespace edgefleet::agent::llm {
namespace {

constexpr auto pass = Treatment::passed;
constexpr auto map = Treatment::mapped;
constexpr auto none = Treatment::no_effect;
constexpr auto no = Treatment::refused;

// Columns: ollama, openai (llama.cpp, vLLM), groq, gemini.
const std::vector<FieldRule> chat_rules = {
    {"model", {pass, pass, pass, map}, ""},
    {"messages", {map, pass, pass, map}, "parts: text for all; pictures as data: URLs for Ollama and Gemini"},
    {"tools", {pass, pass, pass, map}, "functions only"},
    {"tool_choice", {map, pass, pass, map}, "Ollama: auto and none"},
    {"parallel_tool_calls", {no, pass, pass, no}, ""},
    {"response_format", {map, pass, pass, map}, "text, json_object, json_schema"},
    {"temperature", {map, pass, pass, map}, ""},
    {"top_p", {map, pass, pass, map}, ""},
    {"top_k", {map, pass, no, map}, "an extension"},
    {"min_p", {map, pass, no, no}, "an extension"},
    {"repeat_penalty", {map, pass, no, no}, "an extension"},
    {"presence_penalty", {map, pass, pass, map}, ""},
    {"frequency_penalty", {map, pass, pass, map}, ""},
    {"stop", {map, pass, pass, map}, ""},
    {"seed", {map, pass, pass, map}, ""},
    {"max_tokens", {map, pass, pass, map}, ""},
    {"max_completion_tokens", {map, map, pass, map}, "max_tokens has precedence"},
    {"reasoning_effort", {map, pass, pass, map}, "Ollama: think, off for none and minimal; Gemini: a thinking budget"},
    {"n", {map, map, map, map}, "1 only: submit more tasks for more answers"},
    {"logprobs", {no, pass, no, no}, ""},
    {"top_logprobs", {no, pass, no, no}, ""},
    {"logit_bias", {no, pass, no, no}, ""},
    {"stream", {none, none, none, none}, "the fleet always streams inside"},
    {"stream_options", {none, none, none, none}, "for the model endpoints"},
    {"user", {none, none, none, none}, ""},
    {"metadata", {none, none, none, none}, ""},
    {"store", {none, none, none, none}, ""},
    {"safety_identifier", {none, none, none, none}, ""},
    {"prompt_cache_key", {none, none, none, none}, ""},
    {"service_tier", {none, none, pass, none}, ""},
    {"functions", {no, no, no, no}, "use tools"},
    {"function_call", {no, no, no, no}, "use tool_choice"},
    {"modalities", {no, no, no, no}, ""},
    {"audio", {no, no, no, no}, ""},
    {"prediction", {no, no, no, no}, ""},
    {"web_search_options", {no, no, no, no}, ""},
    {"verbosity", {no, no, no, no}, ""},
};

const std::vector<FieldRule> generate_rules = {
    {"model", {pass, pass, no, map}, ""},
    {"prompt", {pass, pass, no, map}, "one string"},
    {"suffix", {pass, pass, no, no}, ""},
    {"temperature", {map, pass, no, map}, ""},
    {"top_p", {map, pass, no, map}, ""},
    {"top_k", {map, pass, no, map}, "an extension"},
    {"min_p", {map, pass, no, no}, "an extension"},
    {"repeat_penalty", {map, pass, no, no}, "an extension"},
    {"presence_penalty", {map, pass, no, map}, ""},
    {"frequency_penalty", {map, pass, no, map}, ""},
    {"stop", {map, pass, no, map}, ""},
    {"seed", {map, pass, no, map}, ""},
    {"max_tokens", {map, pass, no, map}, ""},
    {"n", {map, map, no, map}, "1 only"},
    {"best_of", {no, no, no, no}, ""},
    {"echo", {no, no, no, no}, ""},
    {"logprobs", {no, pass, no, no}, ""},
    {"logit_bias", {no, pass, no, no}, ""},
    {"stream", {none, none, none, none}, "the fleet always streams inside"},
    {"stream_options", {none, none, none, none}, "for the model endpoints"},
    {"user", {none, none, none, none}, ""},
};

const std::vector<FieldRule> embed_rules = {
    {"model", {pass, pass, no, map}, ""},
    {"input", {pass, pass, no, map}, "a string or a list of strings"},
    {"dimensions", {pass, pass, no, map}, ""},
    {"encoding_format", {map, map, no, map}, "float; the model endpoints convert it to base64"},
    {"user", {none, none, none, none}, ""},
};

const FieldRule* rule_of(RequestKind kind, const std::string& field) {
  const auto& rules = field_rules(kind);
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const FieldRule& r) { return r.field == field; });
  return found == rules.end() ? nullptr : &*found;
}

// Equivalent to an absent field.
bool is_empty(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty());
}

Result<Json> check_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty()) return invalid("`messages` must be a list with at least one message");
  for (const Json& message : messages) {
    if (!message.is_object() || text_at(message, "role").empty()) {
      return invalid("each of `messages` must be an object with a `role`");
    }
    const Json& content = at(message, "content");
    if (!content.is_null() && !content.is_string() && !content.is_array()) {
      return invalid("a message's `content` must be a string or a list of parts");
    }
  }
  return messages;
}

Status check_shape(RequestKind kind, const Json& request) {
  if (const Json& n = at(request, "n"); !n.is_null() && n != 1) {
    return invalid("`n` must be 1: submit one task per answer");
  }
  if (text_at(request, "model").empty()) return invalid("`model` is missing");
  if (kind == RequestKind::chat) {
    if (auto good = check_messages(at(request, "messages")); !good) return good.error();
  }
  if (kind == RequestKind::generate && !at(request, "prompt").is_string()) return invalid("`prompt` must be a string");
  if (kind == RequestKind::embed) {
    const Json& input = at(request, "input");
    const bool strings = input.is_array() && !input.empty() &&
                         std::all_of(input.begin(), input.end(), [](const Json& one) { return one.is_string(); });
    if (!input.is_string() && !strings) return invalid("`input` must be a string or a list of strings");
    if (const auto format = text_at(request, "encoding_format"); !format.empty() && format != "float") {
      return invalid("`encoding_format` of a task must be float");
    }
  }
  return success();
}

}  // namespace

std::string_view to_string(Treatment treatment) {
  constexpr std::array names = {"passed", "mapped", "no effect", "refused"};
  return names.at(static_cast<std::size_t>(treatment));
}

const std::vector<FieldRule>& field_rules(RequestKind kind) {
  if (kind == RequestKind::chat) return chat_rules;
  return kind == RequestKind::generate ? generate_rules : embed_rules;
}

Result<Json> check_request(RequestKind kind, ProviderKind provider, std::string_view input) {
  const Json given = Json::parse(input, nullptr, false);
  if (!given.is_object()) return invalid("the input must be an object in the format of OpenAI's API");
  if (auto good = check_shape(kind, given); !good) return good.error();
  Json request = Json::object();
  for (const auto& [field, value] : given.items()) {
    if (is_empty(value) && field != "think") continue;
    const FieldRule* rule = rule_of(kind, field);
    // OpenAI-compatible servers have fields of their own; they refuse or ignore unknown ones themselves.
    const auto treatment = rule != nullptr                    ? rule->of.at(static_cast<std::size_t>(provider))
                           : provider == ProviderKind::openai ? Treatment::passed
                                                              : Treatment::refused;
    if (treatment == Treatment::refused) {
      const std::string why = rule != nullptr && !rule->note.empty() ? ": " + std::string(rule->note) : "";
      return invalid("`" + field + "` is not supported by " + std::string(to_string(provider)) + why);
    }
    if (treatment != Treatment::no_effect) request[field] = value;
  }
  request.erase("n");
  request.erase("encoding_format");
  return request;
}

}  // namespace edgefleet::agent::llm
