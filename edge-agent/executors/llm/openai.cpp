// OpenAI's format: llama.cpp's llama-server, vLLM, and Groq, which adds limits and times of its own.
#include "edge-agent/executors/llm/provider.hpp"

namespace edgefleet::agent::llm {
namespace {

Usage read_usage(const Json& usage) {
  Usage read;
  read.prompt_tokens = count_at(usage, "prompt_tokens").value_or(0);
  read.completion_tokens = count_at(usage, "completion_tokens").value_or(0);
  read.cached_tokens = count_at(at(usage, "prompt_tokens_details"), "cached_tokens");
  read.reasoning_tokens = count_at(at(usage, "completion_tokens_details"), "reasoning_tokens");
  // Groq's, in seconds
  if (const auto seconds = number_at(usage, "prompt_time")) read.prompt_ms = *seconds * 1000;
  if (const auto seconds = number_at(usage, "completion_time")) read.completion_ms = *seconds * 1000;
  return read;
}

void read_delta(const Json& choice, Answer& answer) {
  const Json& delta = at(choice, "delta");
  // Two names are in use for the reasoning of a model.
  answer.add_text(text_at(delta, "reasoning_content"), true);
  answer.add_text(text_at(delta, "reasoning"), true);
  answer.add_text(text_at(delta, "content"));
  if (const Json& calls = at(delta, "tool_calls"); calls.is_array()) {
    for (const Json& call : calls) answer.add_tool_call(call);
  }
  answer.add_text(text_at(choice, "text"));  // of /v1/completions
}

// Joins the log probabilities of the pieces into one list.
void read_logprobs(const Json& logprobs, Answer& answer) {
  if (!logprobs.is_object()) return;
  if (answer.logprobs.is_null()) answer.logprobs = Json::object();
  for (const auto& [key, value] : logprobs.items()) {
    Json& all = answer.logprobs[key];
    if (value.is_array() && all.is_array()) {
      all.insert(all.end(), value.begin(), value.end());
    } else if (all.is_null()) {
      all = value;
    }
  }
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

  [[nodiscard]] Result<BackendRequest> encode(RequestKind kind, const Json& request) const override {
    Json body = request;
    if (kind == RequestKind::embed) {
      return BackendRequest{"/v1/embeddings", body.dump(), Framing::whole};
    }
    // All servers of this kind support the older name.
    if (body.contains("max_completion_tokens") && old_name_of_limit()) {
      if (!body.contains("max_tokens")) body["max_tokens"] = body["max_completion_tokens"];
      body.erase("max_completion_tokens");
    }
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    return BackendRequest{kind == RequestKind::chat ? "/v1/chat/completions" : "/v1/completions", body.dump(),
                          Framing::events};
  }

  void decode(RequestKind kind, const Json& piece, Answer& answer) const override {
    if (const auto model = text_at(piece, "model"); !model.empty()) answer.model = model;
    if (const Json& usage = at(piece, "usage"); usage.is_object()) answer.usage = read_usage(usage);
    if (kind == RequestKind::embed) return read_embeddings(piece, answer);
    const Json& choice = first_of(piece, "choices");
    read_delta(choice, answer);
    read_logprobs(at(choice, "logprobs"), answer);
    if (const auto reason = text_at(choice, "finish_reason"); !reason.empty()) {
      answer.finish_reason = reason;
      answer.complete = true;
    }
    // llama.cpp's
    const Json& timings = at(piece, "timings");
    if (timings.is_object() && answer.usage) {
      answer.usage->prompt_ms = number_at(timings, "prompt_ms");
      answer.usage->completion_ms = number_at(timings, "predicted_ms");
    }
  }

  [[nodiscard]] std::vector<std::string> listing_paths() const override { return {"/v1/models"}; }

  // Such a server has loaded all listed models, or loads them by rules of its own.
  void read_listing(std::size_t, const Json& body, Listing& listing) const override {
    const Json& models = at(body, "data");
    if (!models.is_array()) return;
    for (const Json& model : models) {
      if (const auto id = text_at(model, "id"); !id.empty()) listing.models.push_back(id);
    }
    listing.loaded = listing.models;
  }

 protected:
  [[nodiscard]] virtual bool old_name_of_limit() const { return true; }

 private:
  static void read_embeddings(const Json& body, Answer& answer) {
    const Json& data = at(body, "data");
    if (!data.is_array()) return;
    for (const Json& one : data) {
      answer.embeddings.push_back({{"index", at(one, "index")}, {"embedding", at(one, "embedding")}});
    }
    answer.complete = true;
  }
};

class Groq final : public OpenAi {
 public:
  [[nodiscard]] std::vector<RequestKind> kinds() const override { return {RequestKind::chat}; }

  void decode(RequestKind kind, const Json& piece, Answer& answer) const override {
    OpenAi::decode(kind, piece, answer);
    const Json& own = at(piece, "x_groq");
    if (const Json& usage = at(own, "usage"); usage.is_object()) answer.usage = read_usage(usage);
    if (const auto error = text_at(own, "error"); !error.empty()) {
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
