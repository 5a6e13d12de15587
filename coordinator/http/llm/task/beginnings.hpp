// Identifies the next turn of a conversation: hashes of its first one, two, ... messages, each with the model. The
// request before it had just those messages, without its answer and the newest question.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace edgefleet::coordinator::llm {

inline constexpr std::size_t most_beginnings = 64;  // the longest ones

// For a chat request; empty for any other.
std::vector<std::uint64_t> beginnings_of(const nlohmann::json& request);

}  // namespace edgefleet::coordinator::llm
