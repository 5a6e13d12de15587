// The artifacts that a task's input or output names: every string under a key `artifact`, at any depth.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/task.hpp"

namespace edgefleet::protocol {

std::vector<std::string> artifacts_in(std::string_view json);  // sorted, each once
// The same of a result's output, which may be a file and is then one of them. Valid ids only: any text may have that
// key.
std::vector<std::string> artifacts_of(std::string_view output, const std::optional<TextFile>& output_at);

}  // namespace edgefleet::protocol
