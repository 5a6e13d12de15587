// The shape of what the server itself refuses: problem+json, and below /v1 what OpenAI's clients read.
#pragma once

#include "common/http_server/message.hpp"

namespace edgefleet::coordinator {

http_server::Reply refuse(const http_server::Problem& problem, const http_server::Request& head);

}  // namespace edgefleet::coordinator
