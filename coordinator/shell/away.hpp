// Which agents are away, for those who do not run on the loop's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

struct Away {
  std::vector<std::string> silent;   // lost, or not heard of since this coordinator began
  std::vector<std::string> stopped;  // they have said so
};

// `names`: of agents. No value: the loop has not answered within seconds. Blocking; any thread but the loop's.
std::optional<Away> who_is_away(Loop& loop, const std::vector<std::string>& names);

}  // namespace edgefleet::coordinator
