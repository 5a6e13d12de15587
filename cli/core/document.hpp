// Reading the API's answers. A member that is missing or of another type reads as its empty value: a newer or older
// coordinator must not trip the command line up.
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

std::optional<Document> parse_document(std::string_view text);  // only an object

std::string text_of(const Document& object, const char* key);
std::optional<double> number_of(const Document& object, const char* key);
std::uint64_t count_of(const Document& object, const char* key);  // negative and missing: 0
bool flag_of(const Document& object, const char* key);
std::optional<WallTime> instant_of(const Document& object, const char* key);
const Document& member_of(const Document& object, const char* key);  // null when missing

// {"board":"pi4","agent":"pi-1"} -> "board=pi4 agent=pi-1"
std::string pairs_of(const Document& object);

// A task's state after which nothing happens any more.
bool ended_state(std::string_view state);

// Of GET /api/v1/batches/{id}.
BatchCounts batch_counts(const Document& batch);

// Indented, for people; control characters that JSON allows are escaped.
std::string pretty(const Document& value);

}  // namespace edgefleet::cli
