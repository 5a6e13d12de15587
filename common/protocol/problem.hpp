// Errors over HTTP and MQTT: problem+json (RFC 9457), and the status of each kind of error. Pure.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet::protocol {

int status_of(ErrorKind kind);
// The inverse, for clients; a status without a kind is mapped to the nearest: 4xx invalid, 5xx internal.
ErrorKind kind_of_status(int status);

std::string retry_after(Duration time);  // the value of the header: seconds

inline constexpr const char* problem_type = "application/problem+json";
// {"type","title","status","detail"}
std::string problem_json(int status, std::string_view title, std::string_view detail);
std::string problem_json(const Error& error);  // and "retry_after_ms", if it is known

}  // namespace edgefleet::protocol
