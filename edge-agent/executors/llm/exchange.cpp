#include "edge-agent/executors/llm/exchange.hpp"

#include <algorithm>

#include "common/core/line_reader.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/llm/refusal.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::size_t longest_line = std::size_t{4} << 20U;  // a chunk with the log probabilities of a whole answer
constexpr std::size_t most_whole = std::size_t{16} << 20U;   // embeddings, before they are bounded as an output
constexpr Duration behind_the_end = std::chrono::seconds(5);  // for the counts, and for the connection to end

class Exchange {
 public:
  Exchange(const Provider& provider, RequestKind kind, Framing framing, const Patience& patience, Answer& answer)
      : provider_(provider), kind_(kind), framing_(framing), patience_(patience), answer_(answer) {}

  Status take(std::string_view bytes) {
    if (framing_ == Framing::whole) {
      whole_ += bytes;
      return whole_.size() <= most_whole ? success() : give_up("bad_answer", "the answer is too large", false);
    }
    lines_.feed(bytes, [this](std::string_view line) { take_line(line); });
    return check_bounds();
  }

  void finish() {
    if (framing_ == Framing::whole) {
      take_piece(whole_);
    } else {
      lines_.finish([this](std::string_view line) { take_line(line); });
    }
    if (answer_.error() || answer_.complete) return;
    (void)give_up("backend_unavailable", "the back end's answer is incomplete", true);
  }

  // Called by the client at least ten times a second.
  Status watch() {
    const Time now = monotonic_now();
    // The answer is complete: a back end that keeps the connection open must not keep the slot occupied.
    if (answer_.complete) {
      const bool over = now - completed_.value_or(now) > std::min(patience_.token, behind_the_end);
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

  Status check_bounds() {
    if (lines_.take_overlong() > 0) return give_up("bad_answer", "the back end sent a line without an end", true);
    if (answer_.bytes() > limits::input_bytes) {
      return give_up("output_too_large",
                     "the answer has more than " + std::to_string(limits::input_bytes) + " bytes; ask for fewer tokens",
                     false);
    }
    // The answer is complete or has failed: no further data is needed.
    if (answer_.error()) return Error{answer_.error()->message, ErrorKind::unavailable};
    return success();
  }

  void take_line(std::string_view line) {
    if (framing_ == Framing::lines) {
      if (!line.empty()) take_piece(line);
      return;
    }
    if (line.starts_with("error:"))
      line.remove_prefix(6);  // llama.cpp's older streams
    else if (line.starts_with("data:"))
      line.remove_prefix(5);
    else
      return;  // comments, event names, the empty line after an event
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (line == "[DONE]") {
      done_ = true;
    } else if (!line.empty()) {
      take_piece(line);
    }
  }

  void take_piece(std::string_view text) {
    if (answer_.error() || done_) return;
    if (!json::well_formed(text)) {
      (void)give_up("bad_answer", "the back end sent invalid JSON", true);
      return;
    }
    const Json piece = Json::parse(text, nullptr, false);
    if (auto error = error_in(piece)) return answer_.fail(std::move(*error));
    provider_.decode(kind_, piece, answer_);
    if (!answer_.begun() && !answer_.complete) return;
    last_ = monotonic_now();
    if (!first_) first_ = last_;
    if (answer_.complete && !completed_) completed_ = last_;
  }

  const Provider& provider_;
  RequestKind kind_;
  Framing framing_;
  const Patience& patience_;
  Answer& answer_;
  LineReader lines_{longest_line, LineReader::Overlong::drop};
  std::string whole_;
  bool done_ = false;
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
  options.stop = std::move(stop);
  options.watch = [&] { return exchange.watch(); };
  const http::Request request{http::Method::post, sent.path, provider.headers(key), sent.body};
  const auto response = client.send(request, options, [&](std::string_view bytes) { return exchange.take(bytes); });
  ExchangeReport report;
  if (!response) {
    // A connection that breaks after a complete answer changes nothing.
    if (!answer.complete) answer.fail(TaskError{"backend_unavailable", response.error().message, true, {}});
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
