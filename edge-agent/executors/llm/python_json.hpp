// Numbers that Python's json writes although JSON does not have them. Pure.
#pragma once

#include <string>
#include <string_view>

namespace edgefleet::agent::llm {

// `piece` with null for each NaN, Infinity and -Infinity: in log probabilities they are common.
std::string without_infinities(std::string_view piece);

}  // namespace edgefleet::agent::llm
