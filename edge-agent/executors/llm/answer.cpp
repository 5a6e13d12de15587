#include "edge-agent/executors/llm/answer.hpp"

#include "common/core/utf8.hpp"
#include "common/protocol/floats.hpp"
#include "edge-agent/executors/llm/forced_call.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::size_t most_name_bytes = 256;  // of a model or a finish reason
constexpr std::size_t most_ignored_bytes = 200;

std::string cut(const std::string& name) { return std::string(cut_front(name, most_name_bytes)); }

}  // namespace

void Answer::add_text(std::string_view text, bool reasoning) {
  if (text.empty()) return;
  (reasoning ? reasoning_ : text_) += text;
  if (on_part_ && (reasoning || expected_call_.empty()))
    on_part_(text, reasoning ? Channel::reasoning : Channel::content);
}

void Answer::add_refusal(std::string_view text) { refusal_ += text; }

void Answer::repeat_text(std::string_view text, bool reasoning) {
  const std::string& so_far = reasoning ? reasoning_ : text_;
  if (text.starts_with(so_far)) add_text(text.substr(so_far.size()), reasoning);
}

void Answer::repeat_refusal(std::string_view text) {
  if (text.starts_with(refusal_)) add_refusal(text.substr(refusal_.size()));
}

void Answer::repeat_message_member(std::string_view name, std::string_view value) {
  if (!message_members_.has(name)) add_message_member(name, value);
}

void Answer::add_tool_call(std::string_view piece, CallForm form, std::size_t place) {
  if (auto added = calls_.add(piece, form, place); !added) return fail_unknown(added.error().message);
  calls_.tell([this](const protocol::CallLine& line) {
    if (on_part_) on_part_(protocol::encode(line), Channel::tool_calls);
  });
}

void Answer::add_logprobs(std::string_view object) {
  const Members members(object);
  for (const auto& [name, value] : members.all().members()) logprobs_.add(name, value);
}

void Answer::add_message_member(std::string_view name, std::string_view value) {
  if (value != "null") message_members_.add(name, value);
}

void Answer::add_choice_member(std::string_view name, std::string_view value) {
  if (value != "null") choice_members_.add(name, value);
}

void Answer::add_member(std::string_view name, std::string_view value) {
  if (value != "null") members_.add(name, value);
}

void Answer::add_embedding(std::string_view vector, std::optional<std::int64_t> index) {
  const auto numbers = json::as_floats(vector);
  if (!numbers) return fail_unknown("an embedding that is not a list of finite numbers");
  if (embeddings_count_ > 0 && numbers->size() != dimensions_) return fail_unknown("embeddings of different lengths");
  dimensions_ = numbers->size();
  if (!embeddings_.empty()) embeddings_ += ',';
  json::ObjectWriter one(embeddings_);
  one.integer("index", index.value_or(static_cast<std::int64_t>(embeddings_count_)));
  ++embeddings_count_;
  one.raw("embedding", vector);
}

void Answer::set_model(const std::string& name) {
  if (!name.empty()) model_ = cut(name);
}

bool Answer::take_choice(std::int64_t index) {
  if (choice_.value_or(index) != index) fail_unknown("more than one choice");
  choice_ = choice_.value_or(index);
  return choice_ == index;
}

void Answer::fail_unknown(const std::string& what) {
  fail(TaskError{"unsupported_answer", "the back end sent " + cut(what) + ", which is not supported", false, {}});
}

void Answer::ignore(std::string_view piece) {
  if (ignored_.empty() && !Members(piece).all().members().empty()) ignored_ = cut_front(piece, most_ignored_bytes);
}

bool Answer::says_nothing() const {
  return text_.empty() && reasoning_.empty() && refusal_.empty() && calls_.empty() && message_members_.empty();
}

void Answer::finish(const std::string& reason) {
  complete_ = true;
  const std::string made = !expected_call_.empty() ? take_expected_call(reason) : reason;
  finish_reason_ = made.empty() ? "stop" : cut(made);
  if (!ignored_.empty() && says_nothing()) fail_unknown("only " + ignored_);
  if (!calls_.named()) fail_unknown("a tool call without a name");
  if (expected_embeddings_.value_or(embeddings_count_) != embeddings_count_) {
    fail_unknown(std::to_string(embeddings_count_) + " embeddings for " + std::to_string(*expected_embeddings_) +
                 " inputs");
  }
}

// A call that is cut at the maximum of tokens stays text.
std::string Answer::take_expected_call(const std::string& reason) {
  if (!calls_.empty()) return reason;  // the back end has recognized it itself
  if (const auto call = call_in(text_, expected_call_)) {
    add_tool_call(*call, CallForm::whole);
    text_.clear();
    return "tool_calls";
  }
  if (reason != "length") {
    fail(TaskError{"bad_answer", "the back end did not make the tool call that it was forced to make", true, {}});
  }
  return reason;
}

std::size_t Answer::said_bytes() const {
  return text_.size() + reasoning_.size() + refusal_.size() + calls_.bytes() + logprobs_.bytes() +
         message_members_.bytes() + choice_members_.bytes() + embeddings_.size();
}

void Answer::write_message(json::ObjectWriter& message) const {
  message.string("role", "assistant");
  const bool says_nothing = text_.empty() && (!calls_.empty() || !refusal_.empty());
  says_nothing ? message.raw("content", "null") : message.string("content", text_);
  if (!reasoning_.empty()) message.string("reasoning_content", reasoning_);
  if (!refusal_.empty()) message.string("refusal", refusal_);
  if (!calls_.empty()) message.raw("tool_calls", calls_.list());
  message_members_.write(message);
}

void Answer::write_choice(RequestKind kind, json::ObjectWriter& choice) const {
  choice.integer("index", 0);
  if (kind == RequestKind::chat) {
    json::ObjectWriter message(choice.key("message"));
    write_message(message);
  } else {
    choice.string("text", text_);
    if (!reasoning_.empty()) choice.string("reasoning", reasoning_);
  }
  if (!logprobs_.empty()) choice.raw("logprobs", logprobs_.object());
  choice.string("finish_reason", finish_reason_.empty() ? "stop" : finish_reason_);
  choice_members_.write(choice);
}

std::string Answer::output(RequestKind kind) const {
  std::string out;
  {
    json::ObjectWriter output(out);
    output.string("model", model_);
    if (kind == RequestKind::embed) {
      output.raw("data", "[" + embeddings_ + "]");
    } else {
      json::ArrayWriter choices(output.key("choices"));
      json::ObjectWriter choice(choices.next());
      write_choice(kind, choice);
    }
    members_.write(output);
  }
  return out;
}

}  // namespace edgefleet::agent::llm
