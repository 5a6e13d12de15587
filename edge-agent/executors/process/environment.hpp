// Programs and environments of children. Nothing of the agent's own environment is passed on: it can hold secrets.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::agent {

using Environment = std::map<std::string, std::string>;

// The name of a variable is of [A-Za-z_][A-Za-z0-9_]*, a value holds no NUL.
Status check_environment(const Environment& env);

// PATH, LANG, HOME and TMPDIR, then what the configuration says.
Environment make_environment(const Environment& configured, const std::string& home);

// The absolute path of the executable that `name` means: looked up in `path` (PATH's form) unless it holds a slash.
Result<std::string> find_program(const std::string& name, std::string_view path);
std::string_view path_of(const Environment& env);  // its PATH, or the default one

}  // namespace edgefleet::agent
