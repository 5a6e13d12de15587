// The answer of GET /api/v1/capabilities, for people.
#pragma once

#include <string>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

std::string show_capabilities(const Document& answer, const Look& look);
// One capability; empty: no connected agent offers it.
std::string show_capability(const Document& answer, const std::string& name, const Look& look);

// "no connected agent offers image.blurr; did you mean image.blur? Offered are: echo, image.blur"; empty: one does.
std::string if_nobody_offers(const Document& answer, const std::string& name);

}  // namespace edgefleet::cli
