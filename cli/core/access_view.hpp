// Texts about accesses, joining and the audit.
#pragma once

#include <string>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

std::string show_accesses(const Document& answer, const Look& look);
std::string show_join_tokens(const Document& answer, const Look& look);
std::string show_join_requests(const Document& answer, const Look& look);
std::string show_unknown_agents(const Document& answer, const Look& look);
std::string show_audit(const Document& answer, const Look& look);

// "a,b": its parts, without empty ones.
std::vector<std::string> parts_of(const std::string& list);

// https://HOST:PORT#SHA256. The fingerprint in lower case and without colons; empty: there is none.
struct LoginAddress {
  std::string url;
  std::string fingerprint;
};
LoginAddress parse_login_address(const std::string& text);
// "ab12 cd34 ...": for people who compare.
std::string in_groups(const std::string& fingerprint);

}  // namespace edgefleet::cli
