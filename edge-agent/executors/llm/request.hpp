// The request of a task: OpenAI's format for all providers. One table has the treatment of each field by each provider;
// docs/llm.md shows it, and a test compares the two. Pure.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

enum class Treatment {
  passed,  // unchanged
  mapped,  // converted to the provider's field
  no_effect,  // it concerns the caller, not the answer
  refused,  // with an error that names it
};
std::string_view to_string(Treatment treatment);

struct FieldRule {
  std::string_view field;
  std::array<Treatment, 4> of;  // in the order of ProviderKind
  std::string_view note;  // for the docs and the error
};
const std::vector<FieldRule>& field_rules(RequestKind kind);

// Reads a task's input: checks the fields against the table, removes fields that are null, false by default, or without
// effect. An error means an invalid task.
Result<Json> check_request(RequestKind kind, ProviderKind provider, std::string_view input);

}  // namespace edgefleet::agent::llm
