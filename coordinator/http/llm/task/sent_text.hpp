// The texts of an answer that were sent to a client so far, and the text that may follow. Parts come from the agent
// that works on the task, or from its successor; the result comes last. Pure.
//
// The rule: sent text is never changed. Output of another attempt continues it if it begins with the same text;
// if it differs, the answer fails.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/ids.hpp"
#include "coordinator/core/answers.hpp"

namespace edgefleet::coordinator::llm {

class SentText {
 public:
  // The new text of a part, to be sent now; no value if it differs from the sent text. Parts must come from the agent
  // of the attempt.
  std::optional<std::string> add(const Part& part);
  // The complete text of a channel, from the result: returns the unsent rest; no value if it differs.
  std::optional<std::string> complete(Channel channel, std::string_view whole);

 private:
  struct Text {
    std::string sent;
    std::uint64_t heard = 0;  // bytes of the current attempt, contiguous from the beginning
  };
  int attempt_ = 0;
  std::map<Channel, Text> texts_;
};

}  // namespace edgefleet::coordinator::llm
