// The shape of the server's own refusals: problem+json, and below /v1 the shape of OpenAI's API.
#pragma once

#include "common/http_server/message.hpp"

namespace edgefleet::coordinator {

http_server::Reply refuse(const http_server::Problem& problem, std::string_view path);

}  // namespace edgefleet::coordinator
