// The program defines recv() itself, counts what a thread that reads a request receives, and calls the real one. A hook
// in the library would be better; neither 0.11 nor 0.18 has one before the whole head is in memory.
#include "coordinator/http/reading_bound.hpp"

#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

namespace edgefleet::coordinator {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(30);
constexpr std::size_t slowest_body = 16 * 1024;  // bytes a second

enum class Part { none, head, body };
struct Reading {
  Part part = Part::none;
  std::size_t got = 0;
  bool refused = false;
  int fd = -1;
  Clock::time_point began;  // when the first byte was asked for: an idle connection is not a slow one
};
thread_local Reading reading;
std::atomic<bool> stopping{false};

void refuse(int fd, std::string_view status, std::string_view detail) {
  const std::string reply = "HTTP/1.1 " + std::string(status) +
                            "\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n{\"type\":\"about:"
                            "blank\",\"title\":\"" +
                            std::string(status.substr(4)) + "\",\"status\":" + std::string(status.substr(0, 3)) +
                            ",\"detail\":\"" + std::string(detail) + "\"}\n";
  send(fd, reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(fd, SHUT_WR);
}

bool too_slow() {
  auto allowed = Clock::duration(patience);
  if (reading.part == Part::body) allowed += std::chrono::milliseconds(reading.got * 1000 / slowest_body);
  return Clock::now() > reading.began + allowed;
}

// Bytes that may be read now; 0: refused.
std::size_t allowance(int fd, std::size_t wanted) {
  if (reading.part == Part::none) return wanted;
  if (reading.refused || stopping) return 0;
  if (reading.began == Clock::time_point{}) reading.began = Clock::now();
  const bool head = reading.part == Part::head;
  const bool large = head && reading.got >= most_head;
  if (!large && !too_slow()) return head ? std::min(wanted, most_head - reading.got) : wanted;
  reading.refused = true;
  large ? refuse(fd, "431 Request Header Fields Too Large", "the first line and the headers exceed 65536 bytes")
        : refuse(fd, "408 Request Timeout", "the request came too slowly");
  return 0;
}

}  // namespace

void begin_head() { reading = Reading{Part::head, 0, false, reading.fd, {}}; }
void begin_body() { reading = Reading{Part::body, 0, false, reading.fd, {}}; }
void end_reading() { reading.part = Part::none; }
bool peer_gone() {
  // Asked of the connection, not of what can be read: a client may have sent more than we wanted before it left.
  pollfd connection{reading.fd, POLLRDHUP, 0};
  return reading.fd < 0 || (poll(&connection, 1, 0) > 0 && connection.revents != 0);
}
void stop_reading() { stopping = true; }

}  // namespace edgefleet::coordinator

extern "C" ssize_t recv(int fd, void* buffer, size_t bytes, int flags) {
  using namespace edgefleet::coordinator;
  using Recv = ssize_t (*)(int, void*, size_t, int);
  static const auto real = reinterpret_cast<Recv>(dlsym(RTLD_NEXT, "recv"));  // NOLINT: dlsym's own shape
  reading.fd = fd;
  const std::size_t allowed = allowance(fd, bytes);
  if (allowed == 0 && bytes > 0) return 0;
  const ssize_t got = real(fd, buffer, allowed, flags);
  if (got > 0 && (flags & MSG_PEEK) == 0) reading.got += static_cast<std::size_t>(got);
  return got;
}
