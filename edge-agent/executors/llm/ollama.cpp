// Ollama's own API, not its OpenAI-compatible one: only this one accepts a context size and reports the load time.
#include <algorithm>
#include <array>

#include "edge-agent/executors/llm/forced_call.hpp"
#include "edge-agent/executors/llm/history.hpp"
#include "edge-agent/executors/llm/load_options.hpp"
#include "edge-agent/executors/llm/mapped_request.hpp"
#include "edge-agent/executors/llm/picture.hpp"
#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/shape.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 10> options = {{
    {"temperature", "temperature"},
    {"top_p", "top_p"},
    {"top_k", "top_k"},
    {"min_p", "min_p"},
    {"repeat_penalty", "repeat_penalty"},
    {"presence_penalty", "presence_penalty"},
    {"frequency_penalty", "frequency_penalty"},
    {"seed", "seed"},
    {"max_completion_tokens", "num_predict"},
    {"max_tokens", "num_predict"},
}};

// What the members of an answer are read from, or what says nothing to a client (`context`: tokens that only Ollama's
// own API takes back); "choices" and "data" are ours.
constexpr std::array<std::string_view, 17> known_of_answer = {"created_at",
                                                              "message",
                                                              "response",
                                                              "thinking",
                                                              "logprobs",
                                                              "embeddings",
                                                              "done",
                                                              "done_reason",
                                                              "context",
                                                              "load_duration",
                                                              "eval_duration",
                                                              "total_duration",
                                                              "prompt_eval_count",
                                                              "prompt_eval_duration",
                                                              "eval_count",
                                                              "choices",
                                                              "data"};
constexpr std::array<std::string_view, 5> known_of_message = {"role", "content", "thinking", "tool_calls", "tool_name"};

// The content of a message: text, and pictures beside it.
Status add_content(std::string_view content, json::ObjectWriter& into) {
  if (!is_list(content)) {
    into.raw("content", is_text(content) ? content : "\"\"");
    return success();
  }
  std::string text;
  std::vector<std::string> images;
  for (const std::string_view one : list_of(content)) {
    const Members part(one);
    const auto type = part.text("type");
    if (type == "text" || type == "refusal") {
      text += part.text(type);
    } else if (type == "image_url") {
      auto picture = picture_of(part);
      if (!picture) return picture.error();
      images.push_back(std::move(picture->base64));
    } else {
      return unsupported("a part of a message of type `" + type + "` is not supported by ollama");
    }
  }
  into.string("content", text);
  if (images.empty()) return success();
  json::ArrayWriter list(into.key("images"));
  for (const auto& image : images) list.string(image);
  return success();
}

// Arguments are text in OpenAI's API, an object here.
Status add_calls(std::string_view calls, CallsSoFar& so_far, json::ObjectWriter& into) {
  so_far.begin_turn();
  json::ArrayWriter list(into.key("tool_calls"));
  for (const std::string_view one : list_of(calls)) {
    const Members call(one);
    const Members function = call.object("function");
    const auto arguments = arguments_of(function.at("arguments"));
    if (!arguments) return invalid("the `arguments` of a tool call must be an object, written as JSON");
    so_far.add(call.text("id"), function.text("name"));
    json::ObjectWriter made(list.next());
    if (call.has("id")) made.raw("id", call.at("id"));
    json::ObjectWriter function_made(made.key("function"));
    function_made.string("name", function.text("name"));
    function_made.raw("arguments", *arguments);
  }
  return success();
}

// Ollama finds the call of a result by the name of the function; OpenAI's API has the id.
void add_origin(const Members& message, CallsSoFar& so_far, json::ObjectWriter& into) {
  const auto id = message.text("tool_call_id");
  const auto* call = so_far.answer(id);
  into.string("tool_name", call != nullptr ? call->name : message.text("name"));
  if (!id.empty()) into.string("tool_call_id", id);
}

Status add_message(const Members& message, CallsSoFar& so_far, json::ObjectWriter& made) {
  const auto role = message.text("role");
  made.string("role", role == "developer" ? "system" : role);
  // A refusal is the whole of an answer: its content is null.
  const bool refuses = !message.has("content") && message.has("refusal");
  if (auto added = add_content(message.at(refuses ? "refusal" : "content"), made); !added) return added;
  for (const char* name : {"reasoning_content", "reasoning"}) {
    if (message.text(name).empty()) continue;
    made.raw("thinking", message.at(name));
    break;
  }
  if (is_list(message.at("tool_calls"))) {
    if (auto added = add_calls(message.at("tool_calls"), so_far, made); !added) return added;
  }
  if (role == "tool") add_origin(message, so_far, made);
  return success();
}

Status add_messages(const Members& request, json::ObjectWriter& body) {
  CallsSoFar so_far;
  json::ArrayWriter messages(body.key("messages"));
  for (const std::string_view message : request.list("messages")) {
    json::ObjectWriter made(messages.next());
    if (auto added = add_message(Members(message), so_far, made); !added) return added;
  }
  return success();
}

Status add_format(const Members& format, json::ObjectWriter& body) {
  const auto type = format.text("type");
  if (type.empty() || type == "text") return success();
  const Members schema = format.object("json_schema");
  if (type == "json_object") {
    body.string("format", "json");
  } else if (type == "json_schema" && is_object(schema.at("schema"))) {
    body.raw("format", schema.at("schema"));
  } else {
    return invalid("`response_format` must be text, json_object, or json_schema with its schema");
  }
  return success();
}

// A model that is forced to call a function answers in the form of a schema; its tools tell it what they are for.
Status add_tools(const Members& request, json::ObjectWriter& body) {
  const auto schema = schema_of_forced_call(request);
  if (!schema) return schema.error();
  if (!schema->empty()) body.raw("format", *schema);
  if (request.has("tools") && request.at("tool_choice") != "\"none\"") body.raw("tools", request.at("tools"));
  return success();
}

class Ollama final : public Provider {
 public:
  explicit Ollama(const Config& config)
      : load_options_(load_options(config)), num_ctx_(config.num_ctx), keep_alive_(config.keep_alive) {}

  [[nodiscard]] std::vector<RequestKind> kinds() const override {
    return {RequestKind::chat, RequestKind::generate, RequestKind::embed};
  }
  // Ollama itself has no keys; a proxy in front of it may.
  [[nodiscard]] http::Headers headers(const std::string& key) const override {
    if (key.empty()) return {};
    return {{"Authorization", "Bearer " + key}};
  }

  [[nodiscard]] Result<BackendRequest> encode(RequestKind kind, std::string_view text) const override {
    const Members request(text);
    if (auto good = check_mapped(request, "ollama"); !good) return good.error();
    std::string body;
    {
      json::ObjectWriter writer(body);
      if (auto added = add_all(kind, request, writer); !added) return added.error();
    }
    constexpr std::array paths = {"/api/chat", "/api/generate", "/api/embed"};  // in the order of RequestKind
    return BackendRequest{paths.at(static_cast<std::size_t>(kind)), std::move(body),
                          kind == RequestKind::embed ? Framing::whole : Framing::lines,
                          kind == RequestKind::chat ? names_of_forced_call(request) : std::set<std::string>()};
  }

  void decode(RequestKind kind, std::string_view text, Answer& answer) const override {
    const Members piece(text);
    answer.set_model(piece.text("model"));
    pass_on(piece, known_of_answer, answer);
    if (kind == RequestKind::embed) return read_embeddings(piece, answer);
    read_message(kind == RequestKind::chat ? piece.at("message") : "null", answer);
    read_text(piece.at("thinking"), true, answer);
    read_text(piece.at("response"), false, answer);
    read_logprobs(piece, answer);
    const auto done = piece.at("done");
    if (done != "true" && done != "false" && done != "null") return fail_type("done", "truth value", answer);
    if (done == "true") return finish(piece, answer);
    if (!piece.has("message") && !piece.has("response") && !piece.has("thinking")) answer.ignore(text);
  }

  [[nodiscard]] std::vector<std::string> listing_paths() const override { return {"/api/tags", "/api/ps"}; }

  void read_listing(std::size_t path, const Json& body, Listing& listing) const override {
    const Json& models = at(body, "models");
    if (!models.is_array()) return;
    for (const Json& model : models) {
      if (const auto name = text_at(model, "name"); !name.empty()) {
        (path == 0 ? listing.models : listing.loaded).push_back(name);
      }
    }
  }

 private:
  Status add_all(RequestKind kind, const Members& request, json::ObjectWriter& body) const {
    body.raw("model", request.at("model"));
    if (!keep_alive_.empty()) body.raw("keep_alive", keep_alive_);
    // By default it silently truncates the beginning of a prompt that does not fit (whole messages first); since
    // 0.12.6 this can be disabled.
    body.boolean("truncate", false);
    add_options(request, body);
    if (kind == RequestKind::embed) {
      add_as_it_is(request, body, {"input", "dimensions"});
      return success();
    }
    body.boolean("shift", false);  // a full context ends the answer instead of discarding the question
    body.boolean("stream", true);
    if (kind == RequestKind::generate) {
      add_as_it_is(request, body, {"prompt", "suffix"});
      return success();
    }
    if (const auto effort = request.text("reasoning_effort"); !effort.empty()) {
      body.boolean("think", effort != "none" && effort != "minimal");
    }
    if (auto added = add_messages(request, body); !added) return added;
    if (auto added = add_format(request.object("response_format"), body); !added) return added;
    return add_tools(request, body);
  }

  static void add_as_it_is(const Members& request, json::ObjectWriter& body,
                           std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      if (request.has(name)) body.raw(name, request.at(name));
    }
  }

  void add_options(const Members& request, json::ObjectWriter& body) const {
    json::ObjectWriter made(body.key("options"));
    for (const auto& [name, value] : load_options_.items()) made.raw(name, value.dump());
    for (const auto& [ours, theirs] : options) {
      const bool overruled = std::string_view(ours) == "max_completion_tokens" && request.has("max_tokens");
      if (request.has(ours) && !overruled) made.raw(theirs, request.at(ours));
    }
    if (const auto stop = request.at("stop"); is_text(stop)) {
      json::ArrayWriter(made.key("stop")).next() += stop;
    } else if (stop != "null") {
      made.raw("stop", stop);
    }
  }

  static void read_text(std::string_view value, bool reasoning, Answer& answer) {
    if (value == "null") return;
    if (!is_text(value)) return answer.fail_unknown("a message whose content is no text");
    answer.add_text(text_of(value), reasoning);
  }

  static void read_message(std::string_view value, Answer& answer) {
    if (value == "null") return;
    const Members message(value);
    if (!message.is_object()) return answer.fail_unknown("a message that is no object");
    read_text(message.at("thinking"), true, answer);
    read_text(message.at("content"), false, answer);
    for (const std::string_view call : list_in(message, "tool_calls", answer)) {
      answer.add_tool_call(call, CallForm::whole);
    }
    for (const auto& [name, member] : message.all().members()) {
      if (!std::count(known_of_message.begin(), known_of_message.end(), name)) answer.add_message_member(name, member);
    }
  }

  // The elements have OpenAI's shape.
  static void read_logprobs(const Members& piece, Answer& answer) {
    if (list_in(piece, "logprobs", answer).empty()) return;
    answer.add_logprobs(R"({"content":)" + std::string(piece.at("logprobs")) + "}");
  }

  static double ms(const Members& piece, const char* key) { return piece.number(key).value_or(0) / 1e6; }

  // Every count and duration may be missing, which counts as 0.
  void finish(const Members& piece, Answer& answer) const {
    const auto reason = piece.text("done_reason");
    if (reason == "load" || reason == "unload")
      return answer.fail_unknown("no answer: an empty prompt only loads a model");
    const auto unless_calls = reason.empty() ? "stop" : reason;
    answer.finish(answer.calls_tools() && unless_calls == "stop" ? "tool_calls" : unless_calls);
    Usage usage;
    usage.prompt_tokens = piece.count("prompt_eval_count").value_or(0);
    usage.completion_tokens = piece.count("eval_count").value_or(0);
    usage.load_ms = ms(piece, "load_duration");
    usage.prompt_ms = ms(piece, "prompt_eval_duration");
    usage.completion_ms = ms(piece, "eval_duration");
    answer.usage = usage;
    // Versions before 0.12.6 truncate a message that is too long.
    if (num_ctx_ > 0 && usage.prompt_tokens >= num_ctx_) {
      answer.fail(TaskError{"context_too_long",
                            "the prompt has at least " + std::to_string(usage.prompt_tokens) + " tokens, the context " +
                                std::to_string(num_ctx_) +
                                ": its beginning was truncated. Shorten it, or set num_ctx for this agent",
                            false,
                            {}});
    }
  }

  static void read_embeddings(const Members& body, Answer& answer) {
    const auto all = list_in(body, "embeddings", answer);
    if (all.empty()) return answer.fail_unknown("no embeddings");
    for (const std::string_view one : all) answer.add_embedding(one);
    Usage usage;
    usage.prompt_tokens = body.count("prompt_eval_count").value_or(0);
    usage.load_ms = ms(body, "load_duration");
    answer.usage = usage;
    answer.finish({});
  }

  Json load_options_;
  std::int64_t num_ctx_;
  std::string keep_alive_;  // JSON
};

}  // namespace

std::unique_ptr<Provider> make_ollama(const Config& config) { return std::make_unique<Ollama>(config); }

}  // namespace edgefleet::agent::llm
