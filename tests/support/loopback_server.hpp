// An HTTP server on loopback with the routes of a test, open to all.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/http_server/server.hpp"

namespace edgefleet::test {

class LoopbackServer {
 public:
  explicit LoopbackServer(std::vector<http_server::Route> routes, const http_server::Bounds& bounds = {},
                          std::shared_ptr<http_server::Tls> tls = nullptr)
      : server(bounds) {
    using namespace http_server;
    const auto address = server.listen(
        {"127.0.0.1", 0},
        {std::make_shared<const Router>(std::move(routes)), [](const Request&, const Route*) { return Verdict{}; },
         [](const Problem& problem, const ReplyContext&) {
           return Reply{problem.status, problem.detail, "text/plain", {}, {}};
         }},
        std::move(tls));
    if (!address) throw std::runtime_error(address.error().message);
    port = address->port;
    server.start();
  }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }

  http_server::Server server;
  int port = 0;
};

}  // namespace edgefleet::test
