// Asks a person for a secret, on the terminal, where it is not shown; never by an argument or the environment.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// `file`: its first line; "-": that of standard input; empty: a prompt with `question`. Error of kind invalid: there is
// none, or no terminal to ask on, and then `otherwise` says what to do.
Result<std::string> ask_secret(const std::string& file, const std::string& question, const std::string& otherwise);

}  // namespace edgefleet
