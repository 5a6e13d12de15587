// What one request to a model endpoint may cost: its tasks and its answer.
#pragma once

#include <cstddef>

namespace edgefleet::coordinator::llm {

inline constexpr std::size_t most_choices = 8;
inline constexpr std::size_t most_at_once = 8;  // tasks of a request; further ones follow as these end
inline constexpr std::size_t most_answer_bytes = std::size_t{64} << 20U;  // of the results of these tasks together
inline constexpr std::size_t most_inputs = 2048;  // of embeddings, as at OpenAI
inline constexpr std::size_t most_streamed_bytes = std::size_t{8} << 20U;  // of a task and channel, before its result
// Of one task: a longer list goes to several, so that its vectors fit into a result and several agents share the work.
inline constexpr std::size_t most_inputs_of_task = 8;
inline constexpr std::size_t most_bytes_of_task = std::size_t{64} << 10U;
inline constexpr std::size_t most_list_bytes = std::size_t{16} << 20U;  // of the prompts or inputs of a request

}  // namespace edgefleet::coordinator::llm
