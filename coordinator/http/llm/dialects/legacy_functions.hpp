// The first form of tools in OpenAI's API, which older clients still use: `functions`, `function_call`, and messages of
// the role `function`. Tasks have the present form only.
#pragma once

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::coordinator::llm::openai {

// The input with `tools`, `tool_choice`, `tool_calls` and the role `tool` instead; without that form it stays as it is,
// byte for byte.
Result<JsonText> with_tools(JsonText input);

// The choice of an answer in the first form: `function_call` instead of `tool_calls`.
JsonText with_function_call(const json::Object& choice);
// The function of the first of these calls; `null`: there is none.
JsonText function_of(std::string_view tool_calls);

}  // namespace edgefleet::coordinator::llm::openai
