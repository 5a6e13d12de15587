// The request of a task: OpenAI's, whatever the provider. One table says for each field and provider what becomes of
// it; docs/llm.md shows it, and a test holds the two together. Pure.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

enum class Treatment {
  passed,     // as it is
  mapped,     // in the provider's own words
  no_effect,  // it is about the caller, not about the answer
  refused,    // with an error that names it
};
std::string_view to_string(Treatment treatment);

struct FieldRule {
  std::string_view field;
  std::array<Treatment, 4> of;  // in the order of ProviderKind
  std::string_view note;        // for the docs and the error
};
const std::vector<FieldRule>& field_rules(RequestKind kind);

// Reads a task's input: checks the fields against the table, takes out what is null, false where that is the default,
// or without effect. The error is the task's fault.
Result<Json> check_request(RequestKind kind, ProviderKind provider, std::string_view input);

}  // namespace edgefleet::agent::llm
