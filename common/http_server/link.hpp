// The transport of one connection: TCP, or TLS on top of it. No call blocks; the connection waits for the socket and
// tries again. For one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace edgefleet::http_server {

enum class IoState { done, want_read, want_write, closed, failed };
struct Io {
  IoState state = IoState::done;
  std::size_t bytes = 0;
};

class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  Link(Link&&) = delete;
  Link& operator=(Link&&) = delete;
  virtual ~Link() = default;

  virtual Io handshake() = 0;
  virtual Io read(char* into, std::size_t bytes) = 0;  // closed: the peer sends nothing more
  virtual Io write(std::string_view bytes) = 0;
  // The peer reads the end of the stream after the written bytes. want_write: call it again.
  virtual Io end_writing() = 0;
  // The client certificate that was verified in the handshake, as DER; empty: none.
  [[nodiscard]] virtual std::string certificate() const { return {}; }
};

std::unique_ptr<Link> tcp_link(int socket);

}  // namespace edgefleet::http_server
