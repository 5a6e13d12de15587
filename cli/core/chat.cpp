#include "cli/core/chat.hpp"

#include <cstdio>

#include "cli/core/text.hpp"

namespace edgefleet::cli {
namespace {

std::string decimals(double number, int places) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", places, number);
  return text;
}

}  // namespace

Conversation::Conversation(ChatOptions options) : options_(std::move(options)) {
  if (!options_.system.empty()) messages_.push_back({{"role", "system"}, {"content", options_.system}});
}

void Conversation::ask(const std::string& text) { messages_.push_back({{"role", "user"}, {"content", text}}); }
void Conversation::answered(const std::string& text) {
  messages_.push_back({{"role", "assistant"}, {"content", text}});
}
void Conversation::unanswered() { messages_.erase(messages_.size() - 1); }

std::string Conversation::request(bool stream) const {
  Document body = {{"model", options_.model}, {"messages", messages_}};
  if (options_.temperature) body["temperature"] = *options_.temperature;
  if (options_.max_tokens) body["max_tokens"] = *options_.max_tokens;
  if (stream) {
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
  }
  return body.dump(-1, ' ', false, Document::error_handler_t::replace);
}

void AnswerReader::feed(std::string_view bytes) {
  lines_.feed(bytes, [this](std::string_view text) { line(text); });
}

void AnswerReader::line(std::string_view text) {
  constexpr std::string_view data = "data: ";
  if (!text.starts_with(data)) return;
  text.remove_prefix(data.size());
  text = trimmed(text);
  if (text == "[DONE]") {
    done_ = true;
  } else if (const auto chunk = parse_document(text)) {
    piece(*chunk);
  }
}

void AnswerReader::piece(const Document& chunk) {
  if (const auto& error = member_of(chunk, "error"); error.is_object()) {
    error_ = text_of(error, "message");
    if (error_.empty()) error_ = "the answer ended with an error";
  }
  if (const auto& usage = member_of(chunk, "usage"); usage.is_object()) usage_ = usage;
  const auto& choices = member_of(chunk, "choices");
  if (!choices.is_array() || choices.empty()) return;
  const auto& delta = member_of(choices.front(), "delta");
  if (const auto reason = text_of(choices.front(), "finish_reason"); !reason.empty()) finish_reason_ = reason;
  if (const auto thought = text_of(delta, "reasoning_content"); !thought.empty()) on_text_(thought, true);
  const auto more = text_of(delta, "content");
  text_ += more;
  if (!more.empty()) on_text_(more, false);
}

std::string error_text(std::string_view body) {
  const auto document = parse_document(body);
  return document ? text_of(member_of(*document, "error"), "message") : std::string();
}

std::string show_usage(const Document& usage) {
  const auto tokens = count_of(usage, "completion_tokens");
  if (tokens == 0) return {};
  std::string text = counted(tokens, "token", "tokens");
  if (const auto speed = number_of(usage, "tokens_per_second")) text += ", " + decimals(*speed, 1) + " per second";
  if (const auto first = number_of(usage, "first_token_ms")) {
    text += ", first token after " + decimals(*first / 1000, 1) + " s";
  }
  return text;
}

std::string printable_text(std::string_view text) {
  std::string out;
  for (std::size_t from = 0; from <= text.size();) {
    const auto end = std::min(text.find('\n', from), text.size());
    out += printable(text.substr(from, end - from));
    if (end < text.size()) out += '\n';
    from = end + 1;
  }
  return out;
}

}  // namespace edgefleet::cli
