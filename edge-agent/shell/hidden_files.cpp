#include "edge-agent/shell/hidden_files.hpp"

#include <cstdlib>
#include <filesystem>

namespace edgefleet::agent {

std::vector<std::string> hidden_files(const Settings& settings) {
  std::vector<std::string> hidden{settings.work, settings.file, settings.password_file, settings.broker_key};
  for (const auto& llm : settings.llms) hidden.push_back(llm.api_key_file);
  if (const char* const credentials = std::getenv("CREDENTIALS_DIRECTORY"))
    hidden.emplace_back(credentials);  // systemd's
  for (const auto& file : boot_files(settings)) {
    std::error_code unknown;
    if (std::filesystem::exists(file, unknown)) hidden.push_back(file);  // it is erased once it has been used
  }
  std::erase(hidden, "");
  return hidden;
}

}  // namespace edgefleet::agent
