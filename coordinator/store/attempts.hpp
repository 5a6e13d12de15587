// The attempts of a task as JSON: the format of the store and (with times as text) of the API.
#pragma once

#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "coordinator/core/attempt.hpp"

namespace edgefleet::coordinator {

std::string encode_attempts(const std::vector<Attempt>& attempts);
Result<std::vector<Attempt>> decode_attempts(std::string_view json);

}  // namespace edgefleet::coordinator
