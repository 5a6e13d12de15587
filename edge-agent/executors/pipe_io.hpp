// poll() and pipes that do not block, in our units.
#pragma once

#include <poll.h>

#include <functional>
#include <span>
#include <string_view>

#include "common/core/time.hpp"
#include "edge-agent/executors/unique_fd.hpp"

namespace edgefleet::agent {

// Waits for an event, at most `timeout` (rounded up to milliseconds), at most a minute. Clears the events when there
// are none.
void poll_for(std::span<pollfd> fds, Duration timeout);

// Reads what is there, some 64 KiB at most; closes the descriptor at the end of the stream.
void read_some(UniqueFd& fd, const std::function<void(std::string_view)>& on_bytes);

}  // namespace edgefleet::agent
