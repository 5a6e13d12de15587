// What a part of a running task's output belongs to.
#pragma once

#include <array>
#include <string_view>

namespace edgefleet {

enum class Channel {
  note,        // for people, no part of the output
  content,     // of a model's answer, like the next two
  reasoning,
  tool_calls,  // lines of JSON (common/protocol/call_lines.hpp)
};
// The note has none.
inline constexpr std::array<std::string_view, 4> channel_words{"", "content", "reasoning", "tool_calls"};
inline std::string_view to_string(Channel channel) { return channel_words.at(static_cast<std::size_t>(channel)); }

}  // namespace edgefleet
