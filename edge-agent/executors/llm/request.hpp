// The request of a task: OpenAI's format for all providers, checked against the table of fields (field_rules.hpp).
// Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "edge-agent/executors/llm/answer.hpp"
#include "edge-agent/executors/llm/field_rules.hpp"

namespace edgefleet::agent::llm {

// The JSON Schema of such an input: the fields that the provider takes. An empty value counts as absent, so only the
// required fields have a type.
JsonText request_schema(RequestKind kind, ProviderKind provider);

// Checks the fields of a task's input against the table, and removes those without effect here. Everything else stays
// byte for byte, also values that are usually the default: a back end may have another one. An error means an invalid
// task.
Result<JsonText> check_request(RequestKind kind, ProviderKind provider, std::string_view input);

// The ids of the tool calls in the messages of a request.
std::set<std::string> call_ids_of(std::string_view request);

// The names of the functions that it offers as tools.
std::set<std::string> functions_of(std::string_view request);

// How many embeddings a request asks for.
std::size_t inputs_of(std::string_view request);

}  // namespace edgefleet::agent::llm
