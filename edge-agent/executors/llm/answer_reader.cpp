#include "edge-agent/executors/llm/answer_reader.hpp"

#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/llm/python_json.hpp"
#include "edge-agent/executors/llm/refusal.hpp"

namespace edgefleet::agent::llm {

AnswerReader::AnswerReader(const Provider& provider, RequestKind kind, Framing framing, Answer& answer)
    : provider_(provider),
      kind_(kind),
      streams_events_(framing == Framing::events),
      answer_(answer),
      pieces_(framing, [this](std::string_view text, bool error) { take_piece(text, error); }) {}

Status AnswerReader::feed(std::string_view bytes) {
  if (auto fed = pieces_.feed(bytes); !fed) {
    return give_up("bad_answer", fed.error().message, fed.error().kind != ErrorKind::too_large);
  }
  // Some servers send no finish reason.
  if (pieces_.done() && !answer_.complete() && answer_.begun()) answer_.finish({});
  return check_bounds();
}

void AnswerReader::finish() {
  pieces_.finish();
  (void)check_bounds();
  if (!answer_.complete()) (void)give_up("backend_unavailable", incomplete(), true);
}

// With what was not understood: often the reason, in a form of its own.
std::string AnswerReader::incomplete() const {
  const std::string& ignored = answer_.ignored().empty() ? pieces_.ignored() : answer_.ignored();
  return "the back end's answer is incomplete" + (ignored.empty() ? "" : "; it sent " + valid_utf8(ignored));
}

void AnswerReader::break_off(const std::string& message) {
  if (!surely_complete()) (void)give_up("backend_unavailable", message, true);
}

Status AnswerReader::give_up(const std::string& code, const std::string& message, bool retryable) {
  answer_.fail(TaskError{code, message, retryable, {}});
  return Error{message, ErrorKind::unavailable};
}

// Embeddings are bounded as a body, and as an output.
Status AnswerReader::check_bounds() {
  if (answer_.error()) return Error{answer_.error()->message, ErrorKind::unavailable};
  if (kind_ == RequestKind::embed || answer_.bytes() <= answer_.most_bytes()) return success();
  return give_up("output_too_large",
                 "the answer has more than " + std::to_string(answer_.most_bytes()) + " bytes; ask for fewer tokens",
                 false);
}

void AnswerReader::take_piece(std::string_view text, bool error) {
  if (answer_.error() || over_) return;
  std::string mended;
  bool good = json::well_formed(text);
  if (!good) good = json::well_formed(text = mended = surrogates_.join(text));
  if (!good) good = json::well_formed(text = mended = without_infinities(text));
  if (error) return answer_.fail(error_event(text));
  if (!good) {
    over_ = answer_.complete() && !may_go_on_;
    if (over_) return;
    (void)give_up("bad_answer", "the back end sent invalid JSON", true);
    return;
  }
  if (auto within = error_in(text)) return answer_.fail(std::move(*within));
  decode(text);
}

void AnswerReader::decode(std::string_view text) {
  const auto bytes = answer_.said_bytes();
  const bool ended = answer_.complete();
  const Members piece(text);
  if (!piece.is_object()) {
    if (!ended) answer_.fail_unknown("a piece that is no object");
    return;
  }
  provider_.decode(kind_, text, answer_);
  if (kind_ == RequestKind::generate && answer_.calls_tools()) answer_.fail_unknown("a tool call in a completion");
  if (streams_events_ && answer_.complete()) {
    const bool says_more = answer_.said_bytes() > bytes;
    const bool counts_all = ended && piece.has("usage");
    may_go_on_ = says_more || (may_go_on_ && !counts_all);
  }
  if (answer_.begun() || answer_.complete()) ++count_;
}

}  // namespace edgefleet::agent::llm
