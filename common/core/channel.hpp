// What a part of a running task's output belongs to.
#pragma once

namespace edgefleet {

enum class Channel {
  note,        // for people, no part of the output
  content,     // of a model's answer, like the next two
  reasoning,
  tool_calls,  // lines of JSON (common/protocol/call_lines.hpp)
};

}  // namespace edgefleet
