#include "coordinator/shell/token_estimate.hpp"

#include <algorithm>

#include "common/core/questions.hpp"
#include "common/protocol/json.hpp"
#include "coordinator/core/budgets.hpp"

namespace edgefleet::coordinator {
namespace {

// An input that is a file is not read for this.
std::uint64_t answer_tokens(const TaskSpec& spec) {
  const auto input = json::Object::read(spec.input);
  for (const char* field : {"max_tokens", "max_completion_tokens"}) {
    const auto value = input ? input->find(field) : std::nullopt;
    const auto tokens = value ? json::as_unsigned(*value) : std::nullopt;
    if (tokens) return std::min(*tokens, most_answer_tokens);
  }
  return usual_answer_tokens;
}

}  // namespace

std::uint64_t expected_tokens(const TaskSpec& spec) {
  const std::string& capability = spec.capability.str();
  if (!is_question(capability)) return 0;
  const std::uint64_t read = estimated_tokens(bytes_of_input(spec));
  return capability == "llm.embed" ? read : read + answer_tokens(spec);
}

}  // namespace edgefleet::coordinator
