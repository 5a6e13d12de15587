#include "edge-agent/executors/process/pipe_io.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace edgefleet::agent {

void poll_for(std::span<pollfd> fds, Duration timeout) {
  using std::chrono::milliseconds;
  const auto most = std::clamp<Duration>(timeout, Duration{0}, std::chrono::minutes(1));
  const auto ms = std::chrono::ceil<milliseconds>(most).count();
  if (::poll(fds.data(), fds.size(), static_cast<int>(ms)) > 0) return;
  for (auto& fd : fds) fd.revents = 0;
}

void read_some(UniqueFd& fd, const std::function<void(std::string_view)>& on_bytes) {
  std::array<char, 16 * 1024> buffer;  // NOLINT: filled by read()
  for (int chunks = 0; chunks < 4; ++chunks) {
    const auto got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got > 0) {
      on_bytes({buffer.data(), static_cast<std::size_t>(got)});
      continue;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    fd.reset();
    return;
  }
}

}  // namespace edgefleet::agent
