// Ollama's own API, not its OpenAI-compatible one: only this one accepts a context size and reports the load time.
#include <algorithm>
#include <array>

#include "edge-agent/executors/llm/load_options.hpp"
#include "edge-agent/executors/llm/picture.hpp"
#include "edge-agent/executors/llm/provider.hpp"

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
    {"max_tokens", "num_predict"},  // the later one wins
}};

Status add_content(const Json& content, Json& into) {
  if (!content.is_array()) {
    into["content"] = content.is_string() ? content : Json("");
    return success();
  }
  std::string text;
  Json images = Json::array();
  for (const Json& part : content) {
    const auto type = text_at(part, "type");
    if (type == "text") {
      text += text_at(part, "text");
    } else if (type == "image_url") {
      auto picture = picture_of(part);
      if (!picture) return picture.error();
      images.push_back(picture->base64);
    } else {
      return invalid("a part of a message of type `" + type + "` is not supported by ollama");
    }
  }
  into["content"] = text;
  if (!images.empty()) into["images"] = images;
  return success();
}

// Arguments are text in OpenAI's API, an object here.
Result<Json> tool_calls_of(const Json& calls) {
  Json all = Json::array();
  for (const Json& call : calls) {
    const Json& function = at(call, "function");
    Json arguments = at(function, "arguments");
    if (arguments.is_string()) arguments = Json::parse(arguments.get<std::string>(), nullptr, false);
    if (!arguments.is_object()) return invalid("the `arguments` of a tool call must be an object, written as JSON");
    all.push_back({{"function", {{"name", text_at(function, "name")}, {"arguments", arguments}}}});
  }
  return all;
}

// The name of the function that a tool message answers: Ollama needs the name, OpenAI's API has the id.
std::string name_of_call(const Json& messages, const std::string& id) {
  for (const Json& message : messages) {
    const Json& calls = at(message, "tool_calls");
    if (!calls.is_array()) continue;
    for (const Json& call : calls) {
      if (text_at(call, "id") == id) return text_at(at(call, "function"), "name");
    }
  }
  return {};
}

Result<Json> message_of(const Json& message, const Json& all) {
  const auto role = text_at(message, "role");
  Json made = {{"role", role == "developer" ? "system" : role}};
  if (auto added = add_content(at(message, "content"), made); !added) return added.error();
  if (const auto thinking = text_at(message, "reasoning_content"); !thinking.empty()) made["thinking"] = thinking;
  if (const Json& calls = at(message, "tool_calls"); calls.is_array()) {
    auto mapped = tool_calls_of(calls);
    if (!mapped) return mapped.error();
    made["tool_calls"] = *mapped;
  }
  if (role == "tool") made["tool_name"] = name_of_call(all, text_at(message, "tool_call_id"));
  return made;
}

Status add_format(const Json& format, Json& body) {
  const auto type = text_at(format, "type");
  if (type.empty() || type == "text") return success();
  if (type == "json_object") {
    body["format"] = "json";
  } else if (type == "json_schema" && at(at(format, "json_schema"), "schema").is_object()) {
    body["format"] = at(at(format, "json_schema"), "schema");
  } else {
    return invalid("`response_format` must be text, json_object, or json_schema with its schema");
  }
  return success();
}

Status add_tools(const Json& request, Json& body) {
  const Json& choice = at(request, "tool_choice");
  if (!choice.is_null() && choice != "auto" && choice != "none") {
    return invalid("`tool_choice` must be auto or none: ollama cannot be forced to call a tool");
  }
  if (request.contains("tools") && choice != "none") body["tools"] = request["tools"];
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

  [[nodiscard]] Result<BackendRequest> encode(RequestKind kind, const Json& request) const override {
    Json body = {{"model", request["model"]}};
    if (!keep_alive_.empty()) body["keep_alive"] = keep_alive_;
    // By default it silently truncates the beginning of a prompt that does not fit (whole messages first); since
    // 0.12.6 this can be disabled.
    body["truncate"] = false;
    if (kind == RequestKind::embed) {
      body["input"] = request["input"];
      body["options"] = options_of(request);
      if (request.contains("dimensions")) body["dimensions"] = request["dimensions"];
      return BackendRequest{"/api/embed", body.dump(), Framing::whole};
    }
    body["shift"] = false;  // a full context ends the answer instead of discarding the question
    body["stream"] = true;
    body["options"] = options_of(request);
    if (kind == RequestKind::generate) {
      body["prompt"] = request["prompt"];
      if (request.contains("suffix")) body["suffix"] = request["suffix"];
      return BackendRequest{"/api/generate", body.dump(), Framing::lines};
    }
    body["messages"] = Json::array();
    for (const Json& message : request["messages"]) {
      auto mapped = message_of(message, request["messages"]);
      if (!mapped) return mapped.error();
      body["messages"].push_back(*mapped);
    }
    if (auto added = add_format(at(request, "response_format"), body); !added) return added.error();
    if (auto added = add_tools(request, body); !added) return added.error();
    if (const auto effort = text_at(request, "reasoning_effort"); !effort.empty()) {
      body["think"] = effort != "none" && effort != "minimal";
    }
    return BackendRequest{"/api/chat", body.dump(), Framing::lines};
  }

  void decode(RequestKind kind, const Json& piece, Answer& answer) const override {
    if (const auto model = text_at(piece, "model"); !model.empty()) answer.model = model;
    if (kind == RequestKind::embed) return read_embeddings(piece, answer);
    const Json& message = at(piece, "message");
    answer.add_text(text_at(message, "thinking"), true);
    answer.add_text(text_at(piece, "thinking"), true);
    answer.add_text(text_at(message, "content"));
    answer.add_text(text_at(piece, "response"));
    if (const Json& calls = at(message, "tool_calls"); calls.is_array()) {
      for (const Json& call : calls) add_call(call, answer);
    }
    if (at(piece, "done") == true) finish(piece, answer);
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
  [[nodiscard]] Json options_of(const Json& request) const {
    Json made = load_options_;
    for (const auto& [ours, theirs] : options) {
      if (request.contains(ours)) made[theirs] = request[ours];
    }
    if (request.contains("stop")) {
      made["stop"] = request["stop"].is_string() ? Json::array({request["stop"]}) : request["stop"];
    }
    return made;
  }

  static void add_call(const Json& call, Answer& answer) {
    Json piece = call;
    const Json& arguments = at(at(call, "function"), "arguments");
    if (!arguments.is_string()) piece["function"]["arguments"] = arguments.dump();
    piece["id"] = "call_" + std::to_string(answer.bytes());
    piece.erase("index");
    answer.add_tool_call(piece);
  }

  static double ms(const Json& piece, const char* key) { return number_at(piece, key).value_or(0) / 1e6; }

  // Every count and duration may be missing, which counts as 0.
  void finish(const Json& piece, Answer& answer) const {
    answer.complete = true;
    answer.finish_reason = text_at(piece, "done_reason") == "length" ? "length"
                           : answer.calls_tools()                    ? "tool_calls"
                                                                     : "stop";
    Usage usage;
    usage.prompt_tokens = count_at(piece, "prompt_eval_count").value_or(0);
    usage.completion_tokens = count_at(piece, "eval_count").value_or(0);
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

  static void read_embeddings(const Json& body, Answer& answer) {
    const Json& all = at(body, "embeddings");
    if (!all.is_array()) return;
    for (const Json& one : all) {
      answer.embeddings.push_back({{"index", answer.embeddings.size()}, {"embedding", one}});
    }
    Usage usage;
    usage.prompt_tokens = count_at(body, "prompt_eval_count").value_or(0);
    usage.load_ms = ms(body, "load_duration");
    answer.usage = usage;
    answer.complete = true;
  }

  Json load_options_;
  std::int64_t num_ctx_;
  std::string keep_alive_;
};

}  // namespace

std::unique_ptr<Provider> make_ollama(const Config& config) { return std::make_unique<Ollama>(config); }

}  // namespace edgefleet::agent::llm
