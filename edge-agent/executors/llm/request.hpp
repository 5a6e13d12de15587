// The request of a task: OpenAI's format for all providers, checked against the table of fields (field_rules.hpp).
// Pure.
#pragma once

#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/field_rules.hpp"

namespace edgefleet::agent::llm {

// The JSON Schema of such an input: the fields that the provider takes. An empty value counts as absent, so only the
// required fields have a type.
JsonText request_schema(RequestKind kind, ProviderKind provider);

// Reads a task's input: checks the fields against the table, removes fields that are null, false by default, or without
// effect. An error means an invalid task.
Result<Json> check_request(RequestKind kind, ProviderKind provider, std::string_view input);

}  // namespace edgefleet::agent::llm
