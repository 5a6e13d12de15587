// The routes of one listener, and the gate that decides who may use them.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "common/http_server/route.hpp"

namespace edgefleet::http_server {

struct Verdict {
  std::optional<Reply> refusal;  // sent instead of calling the handler, before the body is read
  Headers headers;               // for every reply
  Principal principal;
};

struct Site {
  std::shared_ptr<const Router> router;
  // Checks each head, also one without a route (nullptr). On the server's thread: it must not block.
  std::function<Verdict(const Request& head, const Route* route)> gate;
  // The shape of the server's own refusals; method and path are empty if none could be read. A problem without a detail
  // is 404: the path has no route.
  std::function<Reply(const Problem& problem, const ReplyContext& context)> refuse;
  // Whether a caller that the gate has let pass still may: a request in progress, such as a stream, is cut within a
  // second otherwise. Empty: always. On the server's thread.
  std::function<bool(const Principal& principal)> still_allowed{};
};

}  // namespace edgefleet::http_server
