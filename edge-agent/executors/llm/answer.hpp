// The answer of a back end, the same for all providers: filled while it streams in, then a task's output. Pure.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/core/channel.hpp"
#include "common/core/task.hpp"
#include "common/core/time.hpp"
#include "edge-agent/executors/llm/joined.hpp"
#include "edge-agent/executors/llm/request_kind.hpp"
#include "edge-agent/executors/llm/tool_calls.hpp"

namespace edgefleet::agent::llm {

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

// Everything that is added is counted in bytes(). What has an unknown shape is passed on as a member of the message,
// the choice or the answer, or fails the answer.
class Answer {
 public:
  // A part of the answer for live readers; output() has all of it again.
  using OnPart = std::function<void(std::string_view text, Channel channel)>;
  explicit Answer(OnPart on_part = {}, CallContext calls = {})
      : on_part_(std::move(on_part)), calls_(std::move(calls)) {}

  // From now on text is collected: it is a call of one of these functions, which finish() makes of it.
  void expect_call(std::set<std::string> names) { expected_call_ = std::move(names); }
  void add_text(std::string_view text, bool reasoning = false);
  // The text so far again, and what follows. Text that differs is ignored: what was told cannot be taken back.
  void repeat_text(std::string_view text, bool reasoning = false);
  void repeat_refusal(std::string_view text);
  void repeat_message_member(std::string_view name, std::string_view value);
  void add_refusal(std::string_view text);
  // As OpenAI streams it. `place`: of a repeated call in its list.
  void add_tool_call(std::string_view piece, CallForm form = CallForm::pieces, std::size_t place = 0);
  void add_logprobs(std::string_view object);  // those of a piece
  void add_message_member(std::string_view name, std::string_view value);
  void add_choice_member(std::string_view name, std::string_view value);
  // Beside the choices or the embeddings: each piece may have the whole value, so the last one counts.
  void add_member(std::string_view name, std::string_view value);
  void add_embedding(std::string_view vector, std::optional<std::int64_t> index = {});  // default: the next one
  void expect_embeddings(std::size_t count) { expected_embeddings_ = count; }
  void set_model(const std::string& name);
  // False: a choice other than the first one, which fails the answer.
  bool take_choice(std::int64_t index);
  void set_most_bytes(std::size_t most) { most_bytes_ = most; }
  void fail(TaskError error) {
    if (!error_) error_ = std::move(error);
  }
  // The answer cannot be read; another attempt would get the same.
  void fail_unknown(const std::string& what);
  // A piece without anything that this kind of answer consists of. An answer that says nothing beside it is an error.
  void ignore(std::string_view piece);
  // The back end has reported the end. `reason` has OpenAI's values: stop, length, tool_calls, content_filter.
  void finish(const std::string& reason);

  std::optional<Usage> usage;

  [[nodiscard]] const std::optional<TaskError>& error() const { return error_; }
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] const std::string& finish_reason() const { return finish_reason_; }
  // Pieces have told a part of the message: a whole message beside them only repeats it.
  void note_deltas() { in_deltas_ = true; }
  [[nodiscard]] bool in_deltas() const { return in_deltas_; }
  [[nodiscard]] bool has_text() const { return !text_.empty(); }
  [[nodiscard]] bool calls_tools() const { return !calls_.empty(); }
  [[nodiscard]] bool begun() const { return said_bytes() > 0; }  // a part of the answer itself was received
  [[nodiscard]] const std::string& ignored() const { return ignored_; }
  [[nodiscard]] std::size_t said_bytes() const;  // of the choice or the embeddings
  [[nodiscard]] std::size_t bytes() const { return said_bytes() + members_.bytes(); }
  [[nodiscard]] std::size_t most_bytes() const { return most_bytes_; }
  // In OpenAI's shape, without the envelope of a particular response (id, created, object).
  [[nodiscard]] std::string output(RequestKind kind) const;

 private:
  [[nodiscard]] bool says_nothing() const;
  [[nodiscard]] std::string take_expected_call(const std::string& reason);
  void write_message(json::ObjectWriter& message) const;
  void write_choice(RequestKind kind, json::ObjectWriter& choice) const;

  OnPart on_part_;
  std::string model_;
  std::optional<std::int64_t> choice_;  // the back end's index
  std::string finish_reason_;
  std::string ignored_;  // the beginning of the first such piece
  std::size_t most_bytes_ = limits::input_bytes;
  std::string text_;
  std::string reasoning_;
  std::string refusal_;
  ToolCalls calls_;
  Joined logprobs_;
  Joined message_members_{Joined::Parts::lists_and_texts};
  Joined choice_members_;
  Joined members_{Joined::Parts::none};
  std::string embeddings_;  // elements of a list
  std::set<std::string> expected_call_;
  bool in_deltas_ = false;
  std::size_t embeddings_count_ = 0;
  std::size_t dimensions_ = 0;  // of each embedding
  std::optional<std::size_t> expected_embeddings_;
  bool complete_ = false;
  std::optional<TaskError> error_;
};

}  // namespace edgefleet::agent::llm
