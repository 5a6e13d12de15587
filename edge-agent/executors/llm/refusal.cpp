#include "edge-agent/executors/llm/refusal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "common/core/utf8.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration longest_wait = std::chrono::hours(48);

struct Refusal {
  std::string message;
  std::string code;  // code, type and status, each as lower_letters()
  std::optional<int> status;  // as a number in it
  std::optional<Duration> retry_after;
};

constexpr std::size_t most_shown = 200;  // of a text whose shape is unknown
constexpr int most_levels = 4;  // of errors within errors

bool nothing(std::string_view value, int levels) {
  constexpr std::array<std::string_view, 4> words = {"null", "false", "0", "\"\""};
  if (std::ranges::count(words, value) > 0) return true;
  if (levels == 0) return false;
  const auto empty = [&](std::string_view part) { return nothing(part, levels - 1); };
  if (const auto all = json::elements(value)) return std::ranges::all_of(*all, empty);
  const Members object(value);
  return object.is_object() &&
         std::ranges::all_of(object.all().members(), [&](const auto& member) { return empty(member.second); });
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// invalid_request_error, InvalidRequestError and "Invalid request error" are one.
std::string lower_letters(std::string text) {
  std::erase_if(text, [](char c) { return c == '_' || c == '-' || c == ' '; });
  return lower(std::move(text));
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

std::string shown(std::string_view text) { return valid_utf8(cut_front(text, most_shown)); }

// FastAPI's: text, or what is wrong with each field: [{"loc":["body","n"],"msg":"..."}]
std::string message_of_detail(std::string_view detail) {
  if (is_text(detail)) return text_of(detail);
  std::string message;
  for (const std::string_view one : list_of(detail)) {
    const Members problem(one);
    message += message.empty() ? "" : "; ";
    if (!problem.is_object()) {
      message += is_text(one) ? text_of(one) : std::string(one);
      continue;
    }
    for (const std::string_view step : problem.list("loc")) {
      message +=
          (message.empty() || message.ends_with("; ") ? "" : ".") + (is_text(step) ? text_of(step) : std::string(step));
    }
    message += ": " + problem.text("msg");
  }
  return message.empty() ? shown(detail) : message;
}

// 400, "400", and FastChat's codes: 40001, 40303 for a prompt that is too long
std::optional<int> status_of(const Members& error) {
  for (const char* key : {"code", "status", "status_code", "statusCode", "http_code", "http_status", "error_code"}) {
    const auto value = error.at(key);
    const auto number = is_text(value) ? json::as_integer(text_of(value)) : json::as_integer(value);
    if (!number) continue;
    const bool long_code = *number >= 10000;
    auto status = long_code ? *number / 100 : *number;
    if (long_code && status == 403) status = 400;
    if (status >= 400 && status <= 599) return static_cast<int>(status);
  }
  return std::nullopt;
}

// Errors of some servers are in a list.
std::string_view body_of(std::string_view text) {
  const auto all = list_of(text);
  return all.empty() ? text : all.front();
}

// {"message","code","type","status","details"}, or an older shape. An error may surround another one, also as text;
// what the inner one says counts.
void read_error(std::string_view text, Refusal& refusal, int levels = most_levels) {
  const Members error(body_of(text));
  if (!error.is_object() || levels == 0) return;
  std::string message;
  for (const char* key : {"message", "msg", "error", "errors", "text"}) {
    if (message.empty()) message = error.text(key);
  }
  const auto detail = error.at("detail");
  if (message.empty() && error.has("detail") && !is_object(detail)) message = message_of_detail(detail);
  if (!message.empty()) refusal.message = message;
  for (const char* key : {"code", "type", "status"}) refusal.code += lower_letters(error.text(key)) + " ";
  const auto status = status_of(error);
  if (status || is_list(detail)) refusal.status = status.value_or(422);
  for (const std::string_view one : error.list("details")) {
    if (auto wait = read_duration(Members(one).text("retryDelay"))) refusal.retry_after = wait;
  }
  if (is_object(detail)) read_error(detail, refusal, levels - 1);
  for (const char* key : {"message", "errors", "error"}) {
    const std::string inner = text_of(error.at(key));
    if (!is_text(error.at(key))) {
      read_error(error.at(key), refusal, levels - 1);
    } else if (is_object(inner) && json::well_formed(inner)) {
      read_error(inner, refusal, levels - 1);
    }
  }
}

Refusal read_refusal(std::string_view text) {
  Refusal refusal;
  if (json::well_formed(text)) read_error(text, refusal);
  if (refusal.message.empty() && text != "{}") refusal.message = shown(text);
  return refusal;
}

bool about_context(const Refusal& refusal) {
  const auto message = lower(refusal.message);
  return has(refusal.code, "context") ||
         (has(message, "context") &&
          (has(message, "exceed") || has(message, "long") || has(message, "maximum") || has(message, "larger")));
}

// The model lacks an ability that the request needs: eyes, tools, thinking. Ollama and llama.cpp answer 500 to a
// picture that the model cannot read.
bool about_ability(int status, const Refusal& refusal) {
  const auto message = lower(refusal.message);
  if (has(message, "image input") || has(message, "not a multimodal model")) return true;
  return status != 500 && has(message, "does not support");
}

struct Meaning {
  int status;
  const char* code;
  bool retryable;
};
constexpr std::array<Meaning, 18> meanings = {{
    {400, "invalid_input", false},
    {401, "unauthorized", true},
    {402, "unauthorized", true},
    {403, "unauthorized", true},
    {404, "model_not_found", true},
    {408, "backend_unavailable", true},
    {409, "backend_error", true},
    {413, "invalid_input", false},
    {422, "invalid_input", false},
    {425, "backend_unavailable", true},
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
  if ((status == 400 || status == 422 || status == 500 || status == 501) && about_ability(status, refusal)) {
    return {status, "not_supported", false};
  }
  // Gemini's form. Other providers repeat the prompt: one about keys must not put the executor out of service.
  if (status == 400 && lower(refusal.message).starts_with("api key")) return {status, "unauthorized", true};
  const auto known =
      std::find_if(meanings.begin(), meanings.end(), [&](const Meaning& m) { return m.status == status; });
  if (known != meanings.end()) return *known;
  return {status, "backend_error", status >= 500};
}

// The status that the error in a stream corresponds to: the first row whose word is in its code.
int status_in(const Refusal& refusal) {
  if (refusal.status) return *refusal.status;
  static constexpr std::array<std::pair<std::string_view, int>, 14> words = {{
      {"ratelimit", 429},
      {"resourceexhausted", 429},
      {"apikey", 401},
      {"authentication", 401},
      {"permission", 403},
      {"notfound", 404},
      {"overloaded", 503},
      {"unavailable", 503},
      {"notsupported", 501},
      {"unsupported", 400},
      {"unprocessable", 422},
      {"badrequest", 400},
      {"invalid", 400},
      {"context", 400},
  }};
  for (const auto& [word, status] : words) {
    if (has(refusal.code, word)) return status;
  }
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

bool says_nothing(std::string_view value) { return nothing(value, most_levels); }

TaskError refusal_of(int status, std::string_view body, std::optional<Duration> retry_after) {
  return make_error(status, read_refusal(body), retry_after);
}

TaskError error_event(std::string_view piece) {
  const Refusal refusal = read_refusal(piece);
  auto made = make_error(status_in(refusal), refusal, std::nullopt);
  made.message = "during its answer, " + made.message;
  return made;
}

// Besides `error` there are other shapes: {"object":"error","message"}, {"detail"}, {"text","error_code"}, {"errors"},
// {"code":400,"msg"}. The last two are errors only if there is no answer beside them.
std::optional<TaskError> error_in(std::string_view piece) {
  const Members body(body_of(piece));
  const auto error = body.at("error");
  const bool typed = body.text("object") == "error" || body.text("type") == "error" || body.count("error_code") > 0;
  constexpr std::array<std::string_view, 4> parts = {"choices", "candidates", "response", "data"};
  const bool answers = std::ranges::any_of(parts, [&](std::string_view part) { return body.has(part); });
  const bool no_error = answers || is_object(body.at("message"))
                            ? says_nothing(error)
                            : error == "null" || error == "\"\"" || error == "false";
  const bool only_words = !body.text("message").empty() || (body.has("detail") && says_nothing(body.at("message")));
  if (!no_error || typed || (!answers && only_words)) return error_event(piece);
  const bool refuses = status_of(body) || !says_nothing(body.at("errors"));
  if (refuses && std::ranges::all_of(parts, [&](std::string_view part) { return says_nothing(body.at(part)); })) {
    return error_event(piece);
  }
  return std::nullopt;
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
