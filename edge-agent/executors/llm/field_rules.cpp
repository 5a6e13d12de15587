#include "edge-agent/executors/llm/field_rules.hpp"

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
    {"tool_choice", {map, pass, pass, map}, "Ollama: a forced call by a JSON schema, one at a time"},
    {"parallel_tool_calls", {no, pass, pass, no}, "", "true"},
    {"response_format", {map, pass, pass, map}, "text, json_object, json_schema"},
    {"temperature", {map, pass, pass, map}, ""},
    {"top_p", {map, pass, pass, map}, ""},
    {"top_k", {map, pass, no, map}, "an extension"},
    {"min_p", {map, pass, no, no}, "an extension", "0"},
    {"repeat_penalty", {map, pass, no, no}, "an extension", "1"},
    {"presence_penalty", {map, pass, pass, map}, ""},
    {"frequency_penalty", {map, pass, pass, map}, ""},
    {"stop", {map, pass, pass, map}, ""},
    {"seed", {map, pass, pass, map}, ""},
    {"max_tokens", {map, pass, pass, map}, ""},
    {"max_completion_tokens", {map, map, pass, map}, "max_tokens has precedence"},
    {"reasoning_effort", {map, pass, pass, map}, "Ollama: think, off for none and minimal; Gemini: a thinking budget"},
    {"n", {map, map, map, map}, "1 only; the model endpoints submit a task for each answer"},
    {"logprobs", {no, pass, no, no}, "", "false"},
    {"top_logprobs", {no, pass, no, no}, "", "0"},
    {"logit_bias", {no, pass, no, no}, "", "{}"},
    {"stream", {none, none, none, none}, "the fleet always streams inside"},
    {"stream_options", {none, none, none, none}, "for the model endpoints"},
    {"user", {none, none, none, none}, ""},
    {"metadata", {none, none, none, none}, ""},
    {"store", {none, none, none, none}, ""},
    {"safety_identifier", {none, none, none, none}, ""},
    {"prompt_cache_key", {none, none, none, none}, ""},
    {"prompt_cache_retention", {none, none, none, none}, ""},
    {"service_tier", {none, none, pass, none}, ""},
    {"functions", {no, no, no, no}, "use tools; the model endpoints convert it", "[]"},
    {"function_call", {no, no, no, no}, "use tool_choice; the model endpoints convert it"},
    {"modalities", {no, no, no, no}, "", "[\"text\"]"},
    {"audio", {no, no, no, no}, ""},
    {"prediction", {no, no, no, no}, ""},
    {"web_search_options", {no, no, no, no}, ""},
    {"verbosity", {none, pass, none, none}, "a hint"},
};

const std::vector<FieldRule> generate_rules = {
    {"model", {pass, pass, no, map}, ""},
    {"prompt", {pass, pass, no, map}, "one string; the model endpoints submit a task for each of a list"},
    {"suffix", {pass, pass, no, no}, "", "\"\""},
    {"temperature", {map, pass, no, map}, ""},
    {"top_p", {map, pass, no, map}, ""},
    {"top_k", {map, pass, no, map}, "an extension"},
    {"min_p", {map, pass, no, no}, "an extension", "0"},
    {"repeat_penalty", {map, pass, no, no}, "an extension", "1"},
    {"presence_penalty", {map, pass, no, map}, ""},
    {"frequency_penalty", {map, pass, no, map}, ""},
    {"stop", {map, pass, no, map}, ""},
    {"seed", {map, pass, no, map}, ""},
    {"max_tokens", {map, pass, no, map}, ""},
    {"n", {map, map, no, map}, "1 only; the model endpoints submit a task for each answer"},
    {"best_of", {no, no, no, no}, "", "1"},
    {"echo", {no, no, no, no}, "", "false"},
    {"logprobs", {no, pass, no, no}, ""},
    {"logit_bias", {no, pass, no, no}, "", "{}"},
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

}  // namespace

std::string_view to_string(Treatment treatment) {
  constexpr std::array names = {"passed", "mapped", "no effect", "refused"};
  return names.at(static_cast<std::size_t>(treatment));
}

const std::vector<FieldRule>& field_rules(RequestKind kind) {
  if (kind == RequestKind::chat) return chat_rules;
  return kind == RequestKind::generate ? generate_rules : embed_rules;
}

}  // namespace edgefleet::agent::llm
