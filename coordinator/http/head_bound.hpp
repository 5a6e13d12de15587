// The library under the API reads the head of a request, its first line and its headers, without a bound of size or
// time. This gives it one, for the thread that reads: see head_bound.cpp.
#pragma once

#include <cstddef>

namespace edgefleet::coordinator {

constexpr std::size_t most_head = 64 * 1024;

// What this thread receives from now on is a head: at most `most_head` bytes within half a minute. Beyond that the
// client gets 431 or 408, and the reader sees the end of the connection.
void begin_head();
// The head has been read: what follows is bounded by others.
void end_head();

}  // namespace edgefleet::coordinator
