// Settings of an llm executor that are good for any provider.
#pragma once

#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

inline Config config_of(const std::string& provider) {
  Settings settings;
  settings.provider = provider;
  settings.url = "http://127.0.0.1:1";
  settings.models = {"m"};
  if (provider == "groq" || provider == "gemini") settings.api_key_env = "KEY";
  settings.num_ctx = 100;
  return *Config::check(settings);
}

}  // namespace edgefleet::agent::llm
