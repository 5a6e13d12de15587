#include "edge-agent/executors/llm/exchange.hpp"

#include <algorithm>

#include "common/system/clock.hpp"
#include "edge-agent/executors/llm/answer_reader.hpp"
#include "edge-agent/executors/llm/refusal.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration behind_the_end = std::chrono::seconds(5);  // for the counts, and for the connection to end
constexpr std::size_t most_refusal_bytes = std::size_t{1} << 20U;  // the body of an error; its message is cut anyway

class Exchange {
 public:
  Exchange(const Provider& provider, RequestKind kind, Framing framing, const Patience& patience, Answer& answer)
      : patience_(patience), answer_(answer), reader_(provider, kind, framing, answer) {}

  Status take(std::string_view bytes) {
    const auto before = reader_.pieces();
    auto taken = reader_.feed(bytes);
    if (reader_.pieces() > before) note_piece();
    completed_ = reader_.surely_complete() ? std::optional(completed_.value_or(monotonic_now())) : std::nullopt;
    return taken;
  }
  void finish() {
    const auto before = reader_.pieces();
    reader_.finish();
    if (reader_.pieces() > before) note_piece();
  }
  void break_off(const std::string& message) { reader_.break_off(message); }

  // Called by the client at least ten times a second.
  Status watch() {
    const Time now = monotonic_now();
    // The answer is complete: a back end that keeps the connection open must not keep the slot occupied.
    if (completed_) {
      const bool over = now - *completed_ > std::min(patience_.token, behind_the_end);
      return over ? Status(Error{"the back end does not end its answer", ErrorKind::unavailable}) : success();
    }
    if (now - began_ > patience_.in_all) {
      return give_up("timed_out", "not finished within " + exact_duration(patience_.in_all), true);
    }
    if (!first_ && now - began_ > patience_.first_token) {
      return give_up("backend_timed_out", "the back end sent nothing for " + exact_duration(patience_.first_token),
                     true);
    }
    if (first_ && now - last_ > patience_.token) {
      return give_up("backend_timed_out",
                     "the back end sent nothing more of its answer for " + exact_duration(patience_.token), true);
    }
    return success();
  }

  [[nodiscard]] Duration first_token() const { return first_ ? *first_ - began_ : Duration{0}; }
  [[nodiscard]] Duration whole() const { return monotonic_now() - began_; }

 private:
  Status give_up(const std::string& code, const std::string& message, bool retryable) {
    answer_.fail(TaskError{code, message, retryable, {}});
    return Error{message, ErrorKind::unavailable};
  }

  void note_piece() {
    last_ = monotonic_now();
    if (!first_) first_ = last_;
  }

  const Patience& patience_;
  Answer& answer_;
  AnswerReader reader_;
  const Time began_ = monotonic_now();
  Time last_ = began_;
  std::optional<Time> first_;
  std::optional<Time> completed_;
};

}  // namespace

ExchangeReport ask(http::Client& client, const Provider& provider, RequestKind kind, const BackendRequest& sent,
                   const std::string& key, const Patience& patience, std::stop_token stop, Answer& answer) {
  Exchange exchange(provider, kind, sent.framing, patience, answer);
  http::Options options;
  options.connect_timeout = patience.connect;
  options.timeout = Duration{0};
  options.most_bytes = most_refusal_bytes;
  options.stop = std::move(stop);
  options.watch = [&] { return exchange.watch(); };
  const http::Request request{http::Method::post, sent.path, provider.headers(key), sent.body};
  const auto response = client.send(request, options, [&](std::string_view bytes) { return exchange.take(bytes); });
  ExchangeReport report;
  if (!response) {
    exchange.break_off(response.error().message);  // after a complete answer, it changes nothing
  } else {
    report.exhausted_for = exhausted_for(*response);
    if (response->ok()) {
      exchange.finish();
    } else {
      answer.fail(refusal_of(response->status, response->body, response->retry_after));
    }
  }
  report.first_token = exchange.first_token();
  report.whole = exchange.whole();
  return report;
}

}  // namespace edgefleet::agent::llm
