// An HTTP/1.1 server, independent of what it serves: routes are a table, with one Site for each listener. One thread
// does all network I/O, a small pool runs the handlers; a request that waits for its answer holds no thread.
#pragma once

#include <memory>
#include <string>

#include "common/core/result.hpp"
#include "common/http_server/address.hpp"
#include "common/http_server/bounds.hpp"
#include "common/http_server/site.hpp"
#include "common/http_server/tls.hpp"

namespace edgefleet::http_server {

class Server {
 public:
  explicit Server(const Bounds& bounds = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;
  ~Server();  // closes at once what is still open

  // Call before start(). Returns the address with the actual port.
  Result<ListenAddress> listen(const ListenAddress& address, Site site, std::shared_ptr<Tls> tls = nullptr);
  void start();
  // Accepts nothing more, and closes each connection after its pending answer; connections without an answer within
  // Bounds::stop are cut.
  void stop();
  // True if all are closed, after at most `patience`.
  [[nodiscard]] bool stopped_within(Duration patience);
  [[nodiscard]] std::size_t connections() const;  // open now. Any thread

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace edgefleet::http_server
