// The channel `tool_calls` of a stream: a line of JSON for each piece of a call. Its bytes have offsets, as in every
// channel, so the loss of a line is noticed. How a back end splits the arguments differs from attempt to attempt, so
// the lines of two attempts are compared by their meaning.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/task.hpp"

namespace edgefleet::protocol {

inline constexpr std::size_t most_tool_calls = 128;  // of one answer

struct CallLine {
  std::size_t index = 0;  // of the call in the answer
  JsonText call;          // in the first line of a call: the call with empty arguments
  std::string arguments;  // to be appended to its arguments
};
std::string encode(const CallLine& line);  // ends with a newline
// No value: it is not such a line.
std::optional<CallLine> decode_call_line(std::string_view line);

// A tool call in OpenAI's form.
struct ToolCall {
  JsonText call;  // with empty arguments; everything else as it came
  std::string name;
  std::string arguments;
};
// No value: it is not an object that has a `function` with a name.
std::optional<ToolCall> read_tool_call(std::string_view call);

// The members of `whole` that `known` lacks, also within `function`; empty: there are none.
JsonText members_beyond(const JsonText& whole, const JsonText& known);

}  // namespace edgefleet::protocol
