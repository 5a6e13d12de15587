// The treatment of each field of a request by each provider: one table, which docs/llm.md shows and a test compares.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/config.hpp"
#include "edge-agent/executors/llm/request_kind.hpp"

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
  // JSON: the value that means the same as none, which many clients send. Never refused; empty: there is no such value.
  std::string_view by_default = {};
};
const std::vector<FieldRule>& field_rules(RequestKind kind);

}  // namespace edgefleet::agent::llm
