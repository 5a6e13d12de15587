#pragma once

namespace edgefleet::agent::llm {

enum class RequestKind { chat, generate, embed };

}  // namespace edgefleet::agent::llm
