// Replies as this API gives them.
#pragma once

#include <string>

#include "common/core/result.hpp"
#include "common/http_server/message.hpp"

namespace edgefleet::coordinator {

inline http_server::Reply json_reply(int status, std::string body) {
  return {status, std::move(body), "application/json", {}, {}};
}

// application/problem+json (RFC 9457), its status by the kind of the error.
http_server::Reply problem(const Error& error);

}  // namespace edgefleet::coordinator
