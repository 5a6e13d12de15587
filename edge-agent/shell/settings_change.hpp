// The difference between the settings of a running agent and those that were read again. Pure.
#pragma once

#include <string>
#include <vector>

#include "edge-agent/shell/settings.hpp"

namespace edgefleet::agent {

struct SettingsChange {
  std::vector<ExecutorName> added;
  std::vector<ExecutorName> changed;
  std::vector<ExecutorName> removed;
  std::vector<std::string> taken;    // names of other settings with a new value that takes effect
  std::vector<std::string> restart;  // and of those whose new value needs a restart
};

SettingsChange difference(const Settings& before, const Settings& after);
// Gives the settings that need a restart the values of `running`.
void keep_until_restart(const Settings& running, Settings& after);
// For people: "added command-a, command-b; removed plugin-image; new max-held, labels".
std::string changes_text(const SettingsChange& change);

}  // namespace edgefleet::agent
