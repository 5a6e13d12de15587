// A task's attempts as JSON: how the store keeps them, and (with times as text) how the API shows them.
#pragma once

#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::coordinator {

std::string encode_attempts(const std::vector<Attempt>& attempts);
Result<std::vector<Attempt>> decode_attempts(std::string_view json);

// Artifacts that a JSON text names under a key `artifact`.
std::vector<std::string> artifacts_in(std::string_view json);

}  // namespace edgefleet::coordinator
