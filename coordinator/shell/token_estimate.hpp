// The tokens that a task is expected to take, before it has run.
#pragma once

#include <cstdint>

#include "common/core/task.hpp"

namespace edgefleet::coordinator {

// Of an answer, if the question does not say how long it may be.
inline constexpr std::uint64_t usual_answer_tokens = 1000;
inline constexpr std::uint64_t most_answer_tokens = 1'000'000;  // that a question may reserve

// 0: it is no question to a language model.
std::uint64_t expected_tokens(const TaskSpec& spec);

}  // namespace edgefleet::coordinator
