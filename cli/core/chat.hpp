// A conversation with a model: what is asked, and the answer as it streams in. Pure.
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
  void unanswered();  // takes the last question back
  [[nodiscard]] std::string request(bool stream) const;

 private:
  ChatOptions options_;
  Document messages_ = Document::array();
};

// Server-sent events as OpenAI's API has them.
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

// The message of an error in OpenAI's shape; empty if it is none.
std::string error_text(std::string_view body);

// "27 tokens, 18.5 a second, the first after 0.4 s"; empty if nothing is known.
std::string show_usage(const Document& usage);

// Made fit for a terminal like printable(), but lines stay lines.
std::string printable_text(std::string_view text);

}  // namespace edgefleet::cli
