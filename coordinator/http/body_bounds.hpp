// The largest bodies of requests: a route reads no more than it can use.
#pragma once

#include <algorithm>

#include "common/core/task.hpp"
#include "common/http_server/route.hpp"

namespace edgefleet::coordinator {

// Of a request whose tasks have inputs of so many bytes together: what is around them is small.
constexpr std::size_t body_around(std::size_t input_bytes) {
  return std::min(http_server::most_body, input_bytes + http_server::small_body);
}

}  // namespace edgefleet::coordinator
