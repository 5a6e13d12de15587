// The artifacts that a task's input or output names: every string under a key `artifact`, at any depth.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edgefleet::protocol {

std::vector<std::string> artifacts_in(std::string_view json);  // sorted, each once

}  // namespace edgefleet::protocol
