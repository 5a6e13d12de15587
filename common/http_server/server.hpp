// An HTTP/1.1 server. It knows nothing of what it serves: routes come as a table, one Site for each listener. One
// thread does all of the network, a small pool runs the handlers; whoever waits for an answer holds no thread.
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
  ~Server();  // ends at once what is still open

  // Before start(). Returns the address with the port that was taken.
  Result<ListenAddress> listen(const ListenAddress& address, Site site, std::shared_ptr<Tls> tls = nullptr);
  void start();
  // Accepts nothing more, and closes each connection behind the answer that it waits for; those that get none within
  // Bounds::stop are cut.
  void stop();
  // Whether all are closed, after at most `patience`.
  [[nodiscard]] bool stopped_within(Duration patience);
  [[nodiscard]] std::size_t connections() const;  // open now. Any thread

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace edgefleet::http_server
