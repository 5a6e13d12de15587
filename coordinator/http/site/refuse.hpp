// The shape of the server's own refusals: problem+json, and below /v1 the shape of OpenAI's API.
#pragma once

#include <cstdint>

#include "common/http_server/message.hpp"

namespace edgefleet::coordinator {

// To be appended to the detail: what the client can do instead. Empty if nothing is known.
std::string advice_on(const http_server::Problem& problem, std::string_view path, std::uint64_t most_input_bytes);

http_server::Reply refuse(const http_server::Problem& problem, std::string_view path);

}  // namespace edgefleet::coordinator
