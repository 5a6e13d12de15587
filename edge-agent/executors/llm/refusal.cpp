#include "edge-agent/executors/llm/refusal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration longest_wait = std::chrono::hours(48);

// {"error":"text"}, {"error":{"message","code","type","status","details"}}, the same in a list, or no JSON at all.
struct Refusal {
  std::string message;
  std::string code;  // code, type and status in lower case, joined
  std::optional<Duration> retry_after;
};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// "Please try again in 5.289s.", "Please retry in 46s"
std::optional<Duration> wait_in_words(const std::string& message) {
  for (const std::string_view words : {"try again in ", "retry in "}) {
    const auto at = message.find(words);
    if (at == std::string::npos) continue;
    const auto from = at + words.size();
    auto until = message.find_first_not_of("0123456789.hms", from);
    if (until == std::string::npos) until = message.size();
    std::string text = message.substr(from, until - from);
    while (!text.empty() && text.back() == '.') text.pop_back();
    if (auto wait = read_duration(text)) return wait;
  }
  return std::nullopt;
}

Refusal read_refusal(const Json& given) {
  const Json& body = given.is_array() && !given.empty() ? given.front() : given;
  const Json& error = at(body, "error");
  Refusal refusal;
  if (error.is_string()) refusal.message = error.get<std::string>();
  if (!error.is_object()) {
    if (refusal.message.empty()) refusal.message = text_at(body, "message");
    return refusal;
  }
  refusal.message = text_at(error, "message");
  for (const char* key : {"code", "type", "status"}) refusal.code += lower(text_at(error, key)) + " ";
  if (const Json& details = at(error, "details"); details.is_array()) {
    for (const Json& detail : details) {
      if (auto wait = read_duration(text_at(detail, "retryDelay"))) refusal.retry_after = wait;
    }
  }
  return refusal;
}

Refusal read_refusal(std::string_view body) {
  if (json::well_formed(body)) return read_refusal(Json::parse(body, nullptr, false));
  Refusal refusal;
  refusal.message = valid_utf8(cut_front(body, 200));
  return refusal;
}

bool about_context(const Refusal& refusal) {
  const auto message = lower(refusal.message);
  return has(refusal.code, "context") ||
         (has(message, "context") &&
          (has(message, "exceed") || has(message, "long") || has(message, "maximum") || has(message, "larger")));
}

struct Meaning {
  int status;
  const char* code;
  bool retryable;
};
constexpr std::array<Meaning, 16> meanings = {{
    {400, "invalid_input", false},
    {401, "unauthorized", true},
    {402, "unauthorized", true},
    {403, "unauthorized", true},
    {404, "model_not_found", true},
    {408, "backend_unavailable", true},
    {413, "invalid_input", false},
    {422, "invalid_input", false},
    {429, "rate_limited", true},
    {498, "rate_limited", true},  // Groq: capacity
    {499, "backend_unavailable", true},
    {500, "backend_error", true},
    {501, "invalid_input", false},
    {502, "backend_unavailable", true},
    {503, "backend_unavailable", true},
    {504, "backend_unavailable", true},
}};

Meaning meaning_of(int status, const Refusal& refusal) {
  if ((status == 400 || status == 413 || status == 500) && about_context(refusal)) {
    return {status, "context_too_long", false};
  }
  // Gemini's form. Other providers repeat the prompt: one about keys must not put the executor out of service.
  if (status == 400 && lower(refusal.message).starts_with("api key")) return {status, "unauthorized", true};
  const auto known =
      std::find_if(meanings.begin(), meanings.end(), [&](const Meaning& m) { return m.status == status; });
  if (known != meanings.end()) return *known;
  return {status, "backend_error", status >= 500};
}

// The status that the error in a stream corresponds to.
int status_in(const Json& error) {
  const Json& code = at(error, "code");
  if (code.is_number_integer()) return code.get<int>();
  const auto text = lower(text_at(error, "code") + " " + text_at(error, "type") + " " + text_at(error, "status"));
  if (has(text, "rate_limit") || has(text, "resource_exhausted")) return 429;
  if (has(text, "invalid_request") || has(text, "invalid_argument") || has(text, "context")) return 400;
  return 500;
}

TaskError make_error(int status, const Refusal& refusal, std::optional<Duration> retry_after) {
  const Meaning meaning = meaning_of(status, refusal);
  std::string message = "the back end answered " + std::to_string(status);
  if (!refusal.message.empty()) message += ": " + refusal.message;
  if (message.size() > limits::error_bytes) message = std::string(cut_front(message, limits::error_bytes));
  auto wait = retry_after ? retry_after : refusal.retry_after ? refusal.retry_after : wait_in_words(refusal.message);
  if (wait) wait = std::min<Duration>(*wait, longest_wait);
  return TaskError{meaning.code, message, meaning.retryable, meaning.retryable ? wait : std::nullopt};
}

}  // namespace

std::optional<Duration> read_duration(std::string_view text) {
  double seconds = 0;
  const char* at = text.data();
  const char* end = text.data() + text.size();
  if (at == end) return std::nullopt;
  while (at != end) {
    double number = 0;
    const auto [next, failure] = std::from_chars(at, end, number);
    if (failure != std::errc{} || next == end || !(number >= 0) || number > 1e9) return std::nullopt;
    std::string_view unit(next, static_cast<std::size_t>(end - next));
    const bool ms = unit.starts_with("ms");
    const double scale = ms                    ? 1e-3
                         : unit.front() == 'h' ? 3600
                         : unit.front() == 'm' ? 60
                         : unit.front() == 's' ? 1
                                               : 0;
    if (scale == 0) return std::nullopt;
    seconds += number * scale;
    at = next + (ms ? 2 : 1);
  }
  seconds = std::min(seconds, 1e6);
  return Duration{static_cast<std::int64_t>(std::llround(seconds * 1e9))};
}

TaskError refusal_of(int status, std::string_view body, std::optional<Duration> retry_after) {
  return make_error(status, read_refusal(body), retry_after);
}

std::optional<TaskError> error_in(const Json& piece) {
  const Json& body = piece.is_array() && !piece.empty() ? piece.front() : piece;
  const Json& error = at(body, "error");
  if (error.is_null() || (error.is_string() && error.get<std::string>().empty())) return std::nullopt;
  auto made = make_error(error.is_object() ? status_in(error) : 500, read_refusal(body), std::nullopt);
  made.message = "during its answer, " + made.message;
  return made;
}

std::optional<Duration> exhausted_for(const http::Response& response) {
  std::optional<Duration> longest;
  for (const char* what : {"requests", "tokens"}) {
    const auto remaining = response.headers.find(std::string("x-ratelimit-remaining-") + what);
    const auto reset = response.headers.find(std::string("x-ratelimit-reset-") + what);
    if (remaining == response.headers.end() || reset == response.headers.end() || remaining->second != "0") continue;
    const auto wait = read_duration(reset->second);
    if (wait && (!longest || *wait > *longest)) longest = std::min<Duration>(*wait, longest_wait);
  }
  return longest;
}

}  // namespace edgefleet::agent::llm
