// Patterns of models and capabilities: names with * for any characters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

// `what`: "capabilities", for the error.
Status check_patterns(const std::vector<std::string>& patterns, const std::string& what);
// Whether one of them fits; none at all fit everything.
bool any_fits(const std::vector<std::string>& patterns, std::string_view name);
// As one column of a database.
std::string lines_of_patterns(const std::vector<std::string>& patterns);
std::vector<std::string> patterns_of_lines(const std::string& lines);

}  // namespace edgefleet::coordinator
