// Texts about accesses, joining and the audit.
#pragma once

#include <string>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"
#include "common/core/result.hpp"

namespace edgefleet::cli {

std::string show_accesses(const Document& answer, const Look& look);
std::string show_join_tokens(const Document& answer, const Look& look);
std::string show_join_requests(const Document& answer, const Look& look);
std::string show_audit(const Document& answer, const Look& look);

// A key or a token of an answer, for the output as it is. An error unless it is one word of ASCII.
Result<std::string> secret_of(const Document& answer, const char* field);

// "a,b": its parts, without empty ones.
std::vector<std::string> parts_of(const std::string& list);

// https://HOST:PORT#SHA256, where https:// may be missing. An error if the fingerprint is none, or if the URL is not of
// https or has a user, a query, or characters that a terminal does not show.
struct LoginAddress {
  std::string url;
  std::string fingerprint;  // 64 digits in lower case; empty: none is given
};
Result<LoginAddress> parse_login_address(const std::string& text);
// "ab12 cd34 ...": for people who compare.
std::string in_groups(const std::string& fingerprint);

}  // namespace edgefleet::cli
