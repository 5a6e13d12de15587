// The options with which Ollama loads a model. A request with other options makes Ollama reload it, so chats,
// embeddings and loads all use these.
#pragma once

#include "edge-agent/executors/llm/config.hpp"
#include "edge-agent/executors/llm/json_value.hpp"

namespace edgefleet::agent::llm {

inline Json load_options(const Config& config) {
  Json options = Json::object();
  if (config.num_ctx > 0) options["num_ctx"] = config.num_ctx;
  if (config.num_thread > 0) options["num_thread"] = config.num_thread;
  return options;
}

}  // namespace edgefleet::agent::llm
