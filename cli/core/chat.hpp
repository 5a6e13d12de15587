// A conversation with a model: the requests, and the answer as it is streamed. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cli/core/document.hpp"
#include "common/core/line_reader.hpp"

namespace edgefleet::cli {

struct ChatOptions {
  std::string model;
  std::string system;
  std::optional<double> temperature;
  std::optional<int> max_tokens;
};

class Conversation {
 public:
  explicit Conversation(ChatOptions options);
  void ask(const std::string& text);
  void answered(const std::string& text);
  void unanswered();  // removes the last question
  [[nodiscard]] std::string request(bool stream) const;

 private:
  ChatOptions options_;
  Document messages_ = Document::array();
};

// Reads the server-sent events of OpenAI's API.
class AnswerReader {
 public:
  using OnText = std::function<void(const std::string& text, bool reasoning)>;
  explicit AnswerReader(OnText on_text) : on_text_(std::move(on_text)) {}

  void feed(std::string_view bytes);
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const Document& usage() const { return usage_; }
  [[nodiscard]] const std::string& finish_reason() const { return finish_reason_; }

 private:
  void line(std::string_view text);
  void piece(const Document& chunk);

  OnText on_text_;
  LineReader lines_{std::size_t{4} << 20U, LineReader::Overlong::drop};  // longer than any answer
  std::string text_;
  std::string error_;
  std::string finish_reason_;
  Document usage_;
  bool done_ = false;
};

// The message of an error in OpenAI's format; empty if the body is not one.
std::string error_text(std::string_view body);

// "27 tokens, 18.5 per second, first token after 0.4 s"; empty if the number of tokens is unknown.
std::string show_usage(const Document& usage);

// Like printable(), but keeps line breaks.
std::string printable_text(std::string_view text);

}  // namespace edgefleet::cli
