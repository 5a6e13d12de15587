// Programs and environments of children. The agent's own environment is not passed on: it can contain secrets.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::agent {

using Environment = std::map<std::string, std::string>;

// The name of a variable is [A-Za-z_][A-Za-z0-9_]*, a value contains no NUL.
Status check_environment(const Environment& env);

// PATH, LANG, HOME and TMPDIR, then the variables of the configuration.
Environment make_environment(const Environment& configured, const std::string& home);

// The absolute path of the executable `name`: searched in `path` (PATH's form) unless it contains a slash.
Result<std::string> find_program(const std::string& name, std::string_view path);
std::string_view path_of(const Environment& env);  // its PATH, or the default one

}  // namespace edgefleet::agent
