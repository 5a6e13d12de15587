#include "edge-agent/executors/llm/api_key.hpp"

#include <cstdlib>

#include "common/runtime/secret.hpp"

namespace edgefleet::agent::llm {

Result<std::string> read_key(const Config& config) {
  if (!config.api_key_file.empty()) return read_secret(config.api_key_file);
  if (config.api_key_env.empty()) return std::string();
  const char* value = std::getenv(config.api_key_env.c_str());
  if (value == nullptr || *value == '\0') {
    return Error{"the environment has no " + config.api_key_env + ", which is to hold the key", ErrorKind::invalid};
  }
  return std::string(value);
}

}  // namespace edgefleet::agent::llm
