// Reads the body of a back end's answer into an Answer: framing, errors, bounds, and when it is complete. Pure.
#pragma once

#include <string>
#include <string_view>

#include "edge-agent/executors/llm/pieces.hpp"
#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/surrogates.hpp"

namespace edgefleet::agent::llm {

class AnswerReader {
 public:
  AnswerReader(const Provider& provider, RequestKind kind, Framing framing, Answer& answer);

  // An error: the rest of the body is not needed, because the answer has failed.
  Status feed(std::string_view bytes);
  void finish();                              // the body has ended
  void break_off(const std::string& message);  // the connection is broken

  // Some back ends send a finish reason with every piece. So one that comes with text is the end only if the mark of
  // the end, or the counts of the whole answer, come after it, or if the body ends.
  [[nodiscard]] bool surely_complete() const { return answer_.complete() && (!may_go_on_ || pieces_.done()); }
  // How many pieces of the answer were read. Those before its first part do not count.
  [[nodiscard]] std::size_t pieces() const { return count_; }

 private:
  Status give_up(const std::string& code, const std::string& message, bool retryable);
  Status check_bounds();
  void take_piece(std::string_view text, bool error);
  void decode(std::string_view text);
  [[nodiscard]] std::string incomplete() const;

  const Provider& provider_;
  RequestKind kind_;
  bool streams_events_;
  Answer& answer_;
  Pieces pieces_;
  SurrogateJoiner surrogates_;
  bool may_go_on_ = false;
  bool over_ = false;  // nothing that follows counts
  std::size_t count_ = 0;
};

}  // namespace edgefleet::agent::llm
