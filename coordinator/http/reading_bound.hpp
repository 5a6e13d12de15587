// The library under the API reads the head of a request, its first line and its headers, without a bound of size or
// time, and a body without one of time. This gives them bounds, for the thread that reads: see reading_bound.cpp.
#pragma once

#include <cstddef>

namespace edgefleet::coordinator {

constexpr std::size_t most_head = 64 * 1024;

// What this thread receives from now on is a head: at most `most_head` bytes within half a minute. Beyond that the
// client gets 431 or 408, and the reader sees the end of the connection.
void begin_head();
// The head has been read. What follows is a body: bounded in size by its reader, and here to half a minute and a second
// for each 16 KiB that have come. Slower ones would hold a thread for as long as they like.
void begin_body();
// Nothing more is read for this request.
void end_reading();
// The client of the connection that this thread read from last has closed it, or its half of it.
bool peer_gone();
// From now on nobody reads any more: the server is to stop.
void stop_reading();

}  // namespace edgefleet::coordinator
