// poll() and pipes that do not block, in our units.
#pragma once

#include <poll.h>

#include <cerrno>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "common/core/time.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

// Waits for an event, at most `timeout` (rounded up to milliseconds), at most a minute. Clears the events if there
// are none.
void poll_for(std::span<pollfd> fds, Duration timeout);

// One write of another process, from a blocking pipe; none at the end of the stream.
template <typename Record>
std::optional<Record> read_record(const UniqueFd& fd) {
  Record record;
  ssize_t got = 0;
  do {
    got = ::read(fd.get(), &record, sizeof record);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof record)) return std::nullopt;
  return record;
}

// Reads the available bytes, at most about 64 KiB; closes the descriptor at the end of the stream.
void read_some(UniqueFd& fd, const std::function<void(std::string_view)>& on_bytes);

}  // namespace edgefleet::agent
