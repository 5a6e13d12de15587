// Questions to the person at the terminal, and keys that are read.
#pragma once

#include <optional>
#include <string>

#include "cli/commands/interrupt.hpp"
#include "common/core/result.hpp"

namespace edgefleet::cli {

// Whether standard input is a terminal.
bool can_ask();

// The line that a person types after the question; `hidden`: it is not shown. No value: standard input has ended, or
// the program was interrupted.
std::optional<std::string> ask(const std::string& question, bool hidden, const Interrupt& interrupt);

// The first line of a file, or of standard input for "-"; empty: from a person if there is one, otherwise from standard
// input. One word that begins with ef_; no error contains what was read.
Result<std::string> read_key(const std::string& file, const Interrupt& interrupt);

}  // namespace edgefleet::cli
