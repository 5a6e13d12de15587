// The tool calls of an answer that were sent to a client so far, and what may follow: the rule of sent_text.hpp, for
// the channel `tool_calls`. Pure.
//
// A sent name and sent arguments are never changed: another attempt, or the result, continues a call if it has the same
// name and its arguments begin with the same bytes. The id that was sent stays, because back ends make a new one for
// each attempt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/line_reader.hpp"
#include "common/protocol/call_lines.hpp"
#include "coordinator/core/answers.hpp"

namespace edgefleet::coordinator::llm {

class SentCalls {
 public:
  SentCalls();

  // What to send of the calls, in order. A line with a `call` for one that has begun before adds members to it.
  using Lines = std::vector<protocol::CallLine>;

  // No value: the part differs from the sent calls. Parts must come from the agent of the attempt.
  std::optional<Lines> add(const Part& part);
  // All calls, from the result: returns the unsent rest; no value if they differ.
  std::optional<Lines> complete(const std::vector<protocol::ToolCall>& calls);

 private:
  void begin_attempt(int attempt);
  [[nodiscard]] bool take(std::string_view text, Lines& news);
  [[nodiscard]] bool begin(std::size_t index, const protocol::ToolCall& call, Lines& news);
  [[nodiscard]] bool continue_with(std::size_t index, std::size_t at, std::string_view arguments, Lines& news);

  std::vector<protocol::ToolCall> sent_;
  int attempt_ = 0;
  std::uint64_t heard_ = 0;  // bytes of the current attempt, contiguous from the beginning
  bool unreadable_ = false;  // the rest of the current attempt: only the result counts
  std::vector<std::size_t> told_;  // by the current attempt, of each call: bytes of its arguments
  LineReader lines_;
};

}  // namespace edgefleet::coordinator::llm
