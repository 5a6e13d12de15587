// What a client was sent of an answer so far, and what may follow. Parts come from the agent that works on the task, or
// from its successor; the result comes last. Pure.
//
// The rule: what was sent remains. Output of another attempt continues it where it is the same from the beginning;
// where it differs, the answer cannot go on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/ids.hpp"
#include "coordinator/core/answers.hpp"

namespace edgefleet::coordinator::llm {

class SentText {
 public:
  // What is new of a part, to be sent now; none if it does not agree with what was sent. Parts must be of an attempt's
  // own agent.
  std::optional<std::string> add(const Part& part);
  // The whole of a channel, from the result: what was not sent yet; none if it does not agree.
  std::optional<std::string> complete(bool reasoning, std::string_view whole);
  [[nodiscard]] bool anything() const { return !content_.sent.empty() || !reasoning_.sent.empty(); }

 private:
  struct Channel {
    std::string sent;
    std::uint64_t heard = 0;  // bytes of the present attempt, without a gap from the beginning
  };
  Channel& channel(bool reasoning) { return reasoning ? reasoning_ : content_; }

  int attempt_ = 0;
  Channel content_;
  Channel reasoning_;
};

}  // namespace edgefleet::coordinator::llm
