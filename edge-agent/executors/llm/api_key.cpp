#include "edge-agent/executors/llm/api_key.hpp"

#include <cstdlib>

#include "common/runtime/secret.hpp"

namespace edgefleet::agent::llm {

Result<std::string> read_key(const Config& config) {
  if (!config.api_key_file.empty()) return read_secret(config.api_key_file);
  if (config.api_key_env.empty()) return std::string();
  const char* value = std::getenv(config.api_key_env.c_str());
  if (value == nullptr || *value == '\0') {
    return Error{"the environment variable " + config.api_key_env + " for the key is not set", ErrorKind::invalid};
  }
  return std::string(value);
}

std::string without_key(std::string text, const std::string& key) {
  constexpr std::string_view instead = "[key]";
  if (key.empty()) return text;
  for (auto at = text.find(key); at != std::string::npos; at = text.find(key, at + instead.size())) {
    text.replace(at, key.size(), instead);
  }
  return text;
}

}  // namespace edgefleet::agent::llm
