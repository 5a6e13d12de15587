// The program defines recv() itself, counts what a thread that reads a head receives, and calls the real one. A hook in
// the library would be better; neither 0.11 nor 0.18 has one before the whole head is in memory.
#include "coordinator/http/head_bound.hpp"

#include <dlfcn.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

namespace edgefleet::coordinator {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto longest_head = std::chrono::seconds(30);

struct Head {
  bool reading = false;
  std::size_t left = 0;
  Clock::time_point until;  // set by the first byte that is asked for: an idle connection is not a slow head
};
thread_local Head head;

void refuse(int fd, std::string_view status, std::string_view detail) {
  const std::string reply = "HTTP/1.1 " + std::string(status) +
                            "\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n{\"type\":\"about:"
                            "blank\",\"title\":\"" +
                            std::string(status.substr(4)) + "\",\"status\":" + std::string(status.substr(0, 3)) +
                            ",\"detail\":\"" + std::string(detail) + "\"}\n";
  send(fd, reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(fd, SHUT_WR);
}

// Bytes that may still come; 0: refused.
std::size_t allowance(int fd, std::size_t wanted) {
  if (!head.reading) return wanted;
  if (head.until == Clock::time_point{}) head.until = Clock::now() + longest_head;
  if (head.left == 0) {
    refuse(fd, "431 Request Header Fields Too Large", "the first line and the headers exceed 65536 bytes");
  } else if (Clock::now() > head.until) {
    head.left = 0;
    refuse(fd, "408 Request Timeout", "the headers took longer than 30 s");
  }
  return std::min(wanted, head.left);
}

}  // namespace

void begin_head() { head = Head{true, most_head, {}}; }
void end_head() { head.reading = false; }

}  // namespace edgefleet::coordinator

extern "C" ssize_t recv(int fd, void* buffer, size_t bytes, int flags) {
  using namespace edgefleet::coordinator;
  using Recv = ssize_t (*)(int, void*, size_t, int);
  static const auto real = reinterpret_cast<Recv>(dlsym(RTLD_NEXT, "recv"));  // NOLINT: dlsym's own shape
  const std::size_t allowed = allowance(fd, bytes);
  if (allowed == 0 && bytes > 0) return 0;
  const ssize_t got = real(fd, buffer, allowed, flags);
  if (head.reading && got > 0 && (flags & MSG_PEEK) == 0) head.left -= static_cast<std::size_t>(got);
  return got;
}
