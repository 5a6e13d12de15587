// What one listener serves, and to whom.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "common/http_server/route.hpp"

namespace edgefleet::http_server {

struct Verdict {
  std::optional<Reply> refusal;  // instead of the handler, and before the body is read
  Headers headers;               // for the reply, whatever it will be
  Principal principal;
};

struct Site {
  std::shared_ptr<const Router> router;
  // Looks at each head, also one without a route (nullptr). On the server's thread: it must not wait.
  std::function<Verdict(const Request& head, const Route* route)> gate;
  // The shape of what the server refuses by itself; `head` is empty where none could be read. A problem without a
  // detail is 404: the path has no route.
  std::function<Reply(const Problem& problem, const Request& head)> refuse;
};

}  // namespace edgefleet::http_server
