// What commands and plug-ins must not reach.
#pragma once

#include <string>
#include <vector>

#include "edge-agent/shell/settings.hpp"

namespace edgefleet::agent {

// The work folder, the configuration, and every file with a secret that it names.
std::vector<std::string> hidden_files(const Settings& settings);

}  // namespace edgefleet::agent
