// The treatment of each field of a request by each provider: one table, which docs/llm.md shows and a test compares.
#pragma once

#include <array>
#include <string_view>
#include <vector>

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

}  // namespace edgefleet::agent::llm
