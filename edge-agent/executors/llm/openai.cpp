// OpenAI's format: llama.cpp's llama-server, vLLM, and Groq, which adds limits and times of its own.
#include <algorithm>
#include <array>

#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/refusal.hpp"
#include "edge-agent/executors/llm/shape.hpp"

namespace edgefleet::agent::llm {
namespace {

Usage read_usage(const Members& usage) {
  Usage read;
  read.prompt_tokens = usage.count("prompt_tokens").value_or(0);
  read.completion_tokens = usage.count("completion_tokens").value_or(0);
  read.cached_tokens = usage.object("prompt_tokens_details").count("cached_tokens");
  read.reasoning_tokens = usage.object("completion_tokens_details").count("reasoning_tokens");
  // Groq's, in seconds
  if (const auto seconds = usage.number("prompt_time")) read.prompt_ms = *seconds * 1000;
  if (const auto seconds = usage.number("completion_time")) read.completion_ms = *seconds * 1000;
  return read;
}

// ---- the message of a choice, or a piece of it

// Text, or parts: {"type":"text","text"}, and {"type":"thinking","thinking":[{"type":"text","text"}]} for reasoning.
void read_content(std::string_view content, bool reasoning, Answer& answer);

void read_part(std::string_view part, bool reasoning, Answer& answer) {
  if (is_text(part)) return answer.add_text(text_of(part), reasoning);
  const Members members(part);
  const auto type = members.text("type");
  if (type == "text" || type == "output_text") return answer.add_text(text_in(members, "text", answer), reasoning);
  if (type == "thinking") return read_content(members.at("thinking"), true, answer);
  if (type == "refusal") return answer.add_refusal(text_in(members, "refusal", answer));
  answer.fail_unknown("a part of a message of type `" + type + "`");
}

void read_content(std::string_view content, bool reasoning, Answer& answer) {
  if (content == "null") return;
  if (is_text(content)) return answer.add_text(text_of(content), reasoning);
  const auto parts = json::elements(content);
  if (!parts) return answer.fail_unknown("content that is neither text nor a list of parts");
  for (const std::string_view part : *parts) read_part(part, reasoning, answer);
}

// Two names are in use for the reasoning of a model, and some servers send both.
void read_reasoning(const Members& message, Answer& answer) {
  for (const char* name : {"reasoning_content", "reasoning"}) {
    const auto value = message.at(name);
    if (value == "null" || value == "\"\"") continue;
    return is_text(value) ? answer.add_text(text_of(value), true) : answer.add_message_member(name, value);
  }
}

void read_refusal(const Members& message, Answer& answer) {
  const auto refusal = message.at("refusal");
  is_text(refusal) ? answer.add_refusal(text_of(refusal)) : answer.add_message_member("refusal", refusal);
}

void read_calls(const Members& message, CallForm form, Answer& answer) {
  for (const std::string_view call : list_in(message, "tool_calls", answer)) answer.add_tool_call(call, form);
  // The form before `tool_calls`: one call, without an id.
  if (message.has("function_call")) answer.add_tool_call(message.at("function_call"), form);
}

constexpr std::array<std::string_view, 7> known_of_message = {"role",    "content",    "reasoning_content", "reasoning",
                                                              "refusal", "tool_calls", "function_call"};
constexpr std::array<std::string_view, 7> known_of_choice = {"index",    "delta",         "message", "text",
                                                             "logprobs", "finish_reason", "error"};

void read_message(std::string_view value, CallForm form, Answer& answer) {
  if (value == "null") return;
  const Members message(value);
  if (!message.is_object()) return answer.fail_unknown("a message that is no object");
  read_reasoning(message, answer);
  read_content(message.at("content"), false, answer);
  read_refusal(message, answer);
  read_calls(message, form, answer);
  for (const auto& [name, member] : message.all().members()) {
    if (std::ranges::count(known_of_message, name) == 0) answer.add_message_member(name, member);
  }
}

// The message as a whole, at the end of its deltas or beside each of them.
void repeat_message(std::string_view value, Answer& answer) {
  const Members message(value);
  for (const char* name : {"reasoning_content", "reasoning"}) answer.repeat_text(message.text(name), true);
  if (const auto content = message.at("content"); is_text(content)) {
    answer.repeat_text(text_of(content));
  } else if (!answer.has_text()) {
    read_content(content, false, answer);
  }
  answer.repeat_refusal(message.text("refusal"));
  std::size_t place = 0;
  for (const std::string_view call : list_in(message, "tool_calls", answer)) {
    answer.add_tool_call(call, CallForm::repeated, place++);
  }
  if (message.has("function_call")) answer.add_tool_call(message.at("function_call"), CallForm::repeated);
  for (const auto& [name, member] : message.all().members()) {
    if (std::ranges::count(known_of_message, name) == 0) answer.repeat_message_member(name, member);
  }
}

// ---- the choice

void read_logprobs(std::string_view logprobs, Answer& answer) {
  if (logprobs == "null" || logprobs == "[]") return;
  if (!is_object(logprobs)) return answer.fail_unknown("`logprobs` that are no object");
  answer.add_logprobs(logprobs);
}

void read_finish(const Members& choice, Answer& answer) {
  const auto reason = text_in(choice, "finish_reason", answer);
  if (reason.empty()) return;
  if (reason == "error" || reason == "abort") {
    return answer.fail(TaskError{"backend_error", "the back end aborted its answer", true, {}});
  }
  answer.finish(reason == "function_call" ? "tool_calls" : reason);
}

void read_choice(std::string_view value, const Members& choice, Answer& answer) {
  if (!says_nothing(choice.at("error"))) return answer.fail(error_event(value));
  const auto bytes = answer.bytes();
  read_message(choice.at("delta"), CallForm::pieces, answer);
  if (answer.bytes() > bytes) answer.note_deltas();
  if (answer.in_deltas()) {
    repeat_message(choice.at("message"), answer);
  } else {
    read_message(choice.at("message"), CallForm::whole, answer);  // of a server that ignores `stream`
    read_content(choice.at("text"), false, answer);  // of /v1/completions
  }
  read_logprobs(choice.at("logprobs"), answer);
  for (const auto& [name, member] : choice.all().members()) {
    if (std::ranges::count(known_of_choice, name) == 0) answer.add_choice_member(name, member);
  }
  read_finish(choice, answer);
}

// ---- requests

// `max_completion_tokens` under the name that all servers of this kind support; `max_tokens` has precedence.
std::string with_old_limit(std::string_view request) {
  const Members members(request);
  const bool both = members.has("max_tokens");
  std::string out;
  {
    json::ObjectWriter writer(out);
    for (const auto& [name, value] : members.all().members()) {
      if (name == "max_completion_tokens") {
        if (!both) writer.raw("max_tokens", value);
      } else if (name != "max_tokens" || both) {
        writer.raw(name, value);
      }
    }
  }
  return out;
}

std::string with_stream(std::string_view request) {
  const std::string streamed = json::with(Members(request).all(), "stream", "true");
  return json::with(Members(streamed).all(), "stream_options", R"({"include_usage":true})");
}

class OpenAi : public Provider {
 public:
  [[nodiscard]] std::vector<RequestKind> kinds() const override {
    return {RequestKind::chat, RequestKind::generate, RequestKind::embed};
  }

  [[nodiscard]] http::Headers headers(const std::string& key) const override {
    if (key.empty()) return {};
    return {{"Authorization", "Bearer " + key}};
  }

  [[nodiscard]] Result<BackendRequest> encode(RequestKind kind, std::string_view request) const override {
    if (kind == RequestKind::embed) return BackendRequest{"/v1/embeddings", std::string(request), Framing::whole};
    const bool renamed = old_name_of_limit() && Members(request).all().find("max_completion_tokens");
    return BackendRequest{kind == RequestKind::chat ? "/v1/chat/completions" : "/v1/completions",
                          with_stream(renamed ? with_old_limit(request) : std::string(request)), Framing::events};
  }

  void decode(RequestKind kind, std::string_view text, Answer& answer) const override {
    const Members piece(text);
    answer.set_model(piece.text("model"));
    if (const auto usage = piece.at("usage"); is_object(usage)) answer.usage = read_usage(Members(usage));
    if (kind == RequestKind::embed) return read_embeddings(piece, answer);
    const bool of_the_answer = piece.has("choices") || piece.has("usage");
    if (!of_the_answer && piece.text("type") == "ping") return;
    for (const auto& [value, choice] : pieces_of_choice(piece, "choices", answer)) read_choice(value, choice, answer);
    if (!of_the_answer) answer.ignore(text);
    pass_on(piece, std::array<std::string_view, 1>{"choices"}, answer);
    // llama.cpp's
    if (const auto timings = piece.object("timings"); answer.usage && piece.has("timings")) {
      answer.usage->prompt_ms = timings.number("prompt_ms");
      answer.usage->completion_ms = timings.number("predicted_ms");
    }
  }

  [[nodiscard]] std::vector<std::string> listing_paths() const override { return {"/v1/models"}; }

  // Such a server has loaded all listed models, or loads them by rules of its own.
  void read_listing(std::size_t, const Json& body, Listing& listing) const override {
    const Json& models = body.is_array() ? body : at(body, "data");  // some servers send the list itself
    if (!models.is_array()) return;
    for (const Json& model : models) {
      if (const auto id = text_at(model, "id"); !id.empty()) listing.models.push_back(id);
    }
    listing.loaded = listing.models;
  }

 protected:
  [[nodiscard]] virtual bool old_name_of_limit() const { return true; }

 private:
  static void read_embeddings(const Members& body, Answer& answer) {
    const auto data = list_in(body, "data", answer);
    if (data.empty()) return answer.fail_unknown("no embeddings");
    for (const std::string_view one : data) {
      const Members members(one);
      answer.add_embedding(members.at("embedding"), members.count("index"));
    }
    pass_on(body, std::array<std::string_view, 1>{"data"}, answer);
    answer.finish({});
  }
};

class Groq final : public OpenAi {
 public:
  [[nodiscard]] std::vector<RequestKind> kinds() const override { return {RequestKind::chat}; }

  void decode(RequestKind kind, std::string_view piece, Answer& answer) const override {
    OpenAi::decode(kind, piece, answer);
    const Members own = Members(piece).object("x_groq");
    if (const auto usage = own.at("usage"); is_object(usage)) answer.usage = read_usage(Members(usage));
    if (const auto error = own.text("error"); !error.empty()) {
      answer.fail(TaskError{"backend_error", "groq ended its answer: " + error, true, {}});
    }
  }

 protected:
  [[nodiscard]] bool old_name_of_limit() const override { return false; }
};

}  // namespace

std::unique_ptr<Provider> make_openai(const Config&) { return std::make_unique<OpenAi>(); }
std::unique_ptr<Provider> make_groq(const Config&) { return std::make_unique<Groq>(); }

}  // namespace edgefleet::agent::llm
