// Which artifacts a task's input or output names: every text under a key `artifact`, however deep.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edgefleet::protocol {

std::vector<std::string> artifacts_in(std::string_view json);  // sorted, each once

}  // namespace edgefleet::protocol
