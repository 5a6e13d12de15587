// A task's attempts as JSON: how the store keeps them, and (with times as text) how the API shows them.
#pragma once

#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/core/attempt.hpp"

namespace edgefleet::coordinator {

std::string encode_attempts(const std::vector<Attempt>& attempts);
Result<std::vector<Attempt>> decode_attempts(std::string_view json);

}  // namespace edgefleet::coordinator
