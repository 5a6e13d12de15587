#include "edge-agent/executors/plugin/broken_line.hpp"

#include <algorithm>
#include <charconv>

#include "common/core/counts.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::agent {
namespace {

bool space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct Token {
  std::string_view text;  // of a string: without its quotes, escapes unchanged
  bool quoted = false;
};

// Strings, punctuation and other text between them; does not check JSON's grammar, so it reads any bytes.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : rest_(text) {}

  std::optional<Token> next() {
    while (!rest_.empty() && space(rest_.front())) rest_.remove_prefix(1);
    if (rest_.empty()) return std::nullopt;
    if (rest_.front() == '"') return string();
    return take(punctuation(rest_.front()) ? 1 : word_length());
  }

 private:
  static bool punctuation(char c) { return std::string_view("{}[]:,").find(c) != std::string_view::npos; }
  std::size_t word_length() const {
    const auto end =
        std::find_if(rest_.begin(), rest_.end(), [](char c) { return space(c) || punctuation(c) || c == '"'; });
    return static_cast<std::size_t>(end - rest_.begin());
  }
  Token take(std::size_t length) {
    const Token token{rest_.substr(0, length), false};
    rest_.remove_prefix(length);
    return token;
  }
  Token string() {
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2U : 1U;
    end = std::min(end, rest_.size());
    const Token token{rest_.substr(1, end - 1), true};
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return token;
  }

  std::string_view rest_;
};

// The members of the outermost object that identify the task.
struct Envelope {
  std::string_view type;
  std::string_view id;
  std::string_view attempt;
};

Envelope envelope_of(std::string_view line) {
  Envelope envelope;
  Tokens tokens(line);
  int depth = 0;
  Token key;       // the last string at depth 1
  bool of_key = false;  // the previous token was its colon
  while (const auto token = tokens.next()) {
    const bool alone = !token->quoted && token->text.size() == 1;
    if (alone && (token->text == "{" || token->text == "[")) ++depth;
    if (alone && (token->text == "}" || token->text == "]")) --depth;
    if (depth != 1) {
      of_key = false;
      continue;
    }
    if (of_key) {
      if (key.text == "type" && token->quoted) envelope.type = token->text;
      if (key.text == "id" && token->quoted) envelope.id = token->text;
      if (key.text == "attempt" && !token->quoted) envelope.attempt = token->text;
    }
    of_key = alone && token->text == ":" && key.quoted;
    if (!of_key) key = *token;
  }
  return envelope;
}

std::optional<std::string_view> foreign_word(std::string_view line) {
  Tokens tokens(line);
  while (const auto token = tokens.next()) {
    if (token->quoted) continue;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (token->text == word) return word;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string what_is_broken(std::string_view line, std::size_t longest) {
  if (line.size() >= longest) return "it is longer than " + show_bytes(longest) + ": store large data as files";
  if (valid_utf8(line) != line) return "it is not UTF-8";
  if (const auto word = foreign_word(line)) return "it contains " + std::string(*word) + ", which is not JSON";
  return "it is not valid JSON for this agent (no half of a surrogate pair, at most " + std::to_string(json::deepest) +
         " levels): " + std::string(cut_front(line, 200));
}

std::optional<PluginResult> result_of_broken(std::string_view line, std::size_t longest) {
  const Envelope envelope = envelope_of(line);
  if (envelope.type != "result") return std::nullopt;
  const auto id = TaskId::parse(envelope.id);
  int attempt = 0;
  const char* const end = envelope.attempt.data() + envelope.attempt.size();
  const auto [rest, failure] = std::from_chars(envelope.attempt.data(), end, attempt);
  if (!id || envelope.attempt.empty() || failure != std::errc{} || rest != end || attempt < 1) return std::nullopt;
  PluginResult result;
  result.key = {*id, attempt};
  result.error =
      TaskError{"plugin_error", "the plug-in's result cannot be read: " + what_is_broken(line, longest), false, {}};
  return result;
}

}  // namespace edgefleet::agent
