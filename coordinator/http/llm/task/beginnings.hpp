// Identifies the next turn of a conversation: hashes of its first one, two, ... messages, each with the model. The
// request before it had just those messages, without its answer and the newest question.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace edgefleet::coordinator::llm {

inline constexpr std::size_t most_beginnings = 64;  // the longest ones

// For the text of a chat request; empty for any other.
std::vector<std::uint64_t> beginnings_of(std::string_view request);

}  // namespace edgefleet::coordinator::llm
