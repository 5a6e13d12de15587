// The answer of a back end, the same for all providers: filled while it streams in, then a task's output. Pure.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/task.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent::llm {

using Json = nlohmann::json;

enum class RequestKind { chat, generate, embed };

// Counted by the back end. Durations are its own, if it reports them.
struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::optional<std::int64_t> cached_tokens;
  std::optional<std::int64_t> reasoning_tokens;
  std::optional<double> load_ms;
  std::optional<double> prompt_ms;
  std::optional<double> completion_ms;
};

class Answer {
 public:
  using OnText = std::function<void(std::string_view text, bool reasoning)>;
  explicit Answer(OnText on_text = {}) : on_text_(std::move(on_text)) {}

  void add_text(std::string_view text, bool reasoning = false);
  // A piece of a tool call as OpenAI streams it; pieces with the same `index` belong together.
  void add_tool_call(const Json& piece);
  void fail(TaskError error) {
    if (!error_) error_ = std::move(error);
  }

  std::string model;          // as the back end names it
  std::string finish_reason;  // OpenAI's values: stop, length, tool_calls, content_filter
  Json logprobs;
  Json embeddings = Json::array();  // of RequestKind::embed: [{"index","embedding"}]
  std::optional<Usage> usage;
  bool complete = false;  // the back end has reported the end

  [[nodiscard]] const std::optional<TaskError>& error() const { return error_; }
  [[nodiscard]] bool calls_tools() const { return !tool_calls_.empty(); }
  [[nodiscard]] bool begun() const { return begun_; }  // a part of the answer itself was received
  [[nodiscard]] std::size_t bytes() const { return text_.size() + reasoning_.size() + tool_bytes_; }
  // In OpenAI's shape, without the envelope of a particular response (id, created, object).
  [[nodiscard]] std::string output(RequestKind kind) const;

 private:
  [[nodiscard]] Json message() const;

  OnText on_text_;
  std::string text_;
  std::string reasoning_;
  Json tool_calls_ = Json::array();
  std::size_t tool_bytes_ = 0;
  bool begun_ = false;
  std::optional<TaskError> error_;
};

// Members of untrusted JSON; a member of a wrong type counts as absent.
std::string text_at(const Json& object, const char* key);
std::optional<std::int64_t> count_at(const Json& object, const char* key);
std::optional<double> number_at(const Json& object, const char* key);
const Json& at(const Json& object, const char* key);                // null if absent
const Json& first_of(const Json& object, const char* key);          // of an array; null if there is none

}  // namespace edgefleet::agent::llm
