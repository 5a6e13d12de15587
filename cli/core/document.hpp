// Reads answers of the API. A member that is missing or has another type reads as its empty value, so that answers of
// newer and older coordinators can be shown.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/core/progress.hpp"
#include "common/core/time.hpp"

namespace edgefleet::cli {

using Document = nlohmann::ordered_json;  // keeps the order of keys

std::optional<Document> parse_document(std::string_view text);  // nothing if it is not an object
// The text of a member, byte for byte: a document does not keep the digits of a number. Empty: there is none.
std::string_view text_of_member(std::string_view object, std::string_view key);

std::string text_of(const Document& object, const char* key);
std::optional<double> number_of(const Document& object, const char* key);
std::uint64_t count_of(const Document& object, const char* key);  // negative and missing: 0
bool flag_of(const Document& object, const char* key);
std::optional<WallTime> instant_of(const Document& object, const char* key);
const Document& member_of(const Document& object, const char* key);  // null when missing

// {"board":"pi4","agent":"pi-1"} -> "board=pi4 agent=pi-1"
std::string pairs_of(const Document& object);

// Whether a task in this state has ended.
bool ended_state(std::string_view state);

// The counts in an answer of GET /api/v1/batches/{id}.
BatchCounts batch_counts(const Document& batch);

// Well-formed JSON, indented for people: its values stay byte for byte, but control characters are escaped.
std::string pretty(std::string_view json);

}  // namespace edgefleet::cli
