// Errors over HTTP and MQTT: problem+json (RFC 9457), and which status a kind of error has. Pure.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet::protocol {

int status_of(ErrorKind kind);
// The other way round, for clients; a status that no kind has becomes the nearest: 4xx invalid, 5xx internal.
ErrorKind kind_of_status(int status);

inline constexpr const char* problem_type = "application/problem+json";
// {"type","title","status","detail"}
std::string problem_json(int status, std::string_view title, std::string_view detail);
std::string problem_json(const Error& error);

}  // namespace edgefleet::protocol
