// The limits of a server for its clients. docs/architecture.md, "Bounds".
#pragma once

#include <chrono>
#include <cstddef>

#include "common/core/time.hpp"

namespace edgefleet::http_server {

inline constexpr std::size_t small_reply = 16 * 1024;

struct Bounds {
  std::size_t connections = 8192;
  std::size_t body_readers = 128;              // bodies that are being read at the same time
  std::size_t all_bodies = 256 * 1024 * 1024;  // bytes
  // Bytes of answers that clients have not taken, streams included. One that is alone may be larger, and small ones are
  // sent in any case.
  std::size_t all_replies = 256 * 1024 * 1024;

  // Of one address. Loopback is not limited: a proxy in front of the server is one address for all of its clients.
  std::size_t connections_a_peer = 512;
  std::size_t body_readers_a_peer = 32;
  std::size_t bodies_a_peer = 128 * 1024 * 1024;
  std::size_t replies_a_peer = 64 * 1024 * 1024;
  bool limit_loopback = false;

  std::size_t pool_threads = 8;

  Duration handshake = std::chrono::seconds(10);  // of TLS
  Duration certificate_check = std::chrono::seconds(2);  // between two looks at the files of a certificate
  Duration idle = std::chrono::seconds(75);  // between two requests
  Duration head = std::chrono::seconds(30);
  Duration body = std::chrono::seconds(30);  // plus a second for each `slowest_body` bytes
  std::size_t slowest_body = 16 * 1024;
  Duration late_body = std::chrono::seconds(1);  // behind `slowest_body`: it loses its place if others need it
  Duration write = std::chrono::seconds(30);  // without progress: the client reads nothing
  Duration catch_up = std::chrono::seconds(5);  // for the reader of a stream: Stream::most_behind
  Duration linger = std::chrono::seconds(15);  // for a client that still sends a refused body
  std::size_t lingering_bytes = 64 * 1024 * 1024;
  Duration stop = std::chrono::seconds(5);  // for answers in progress
};

}  // namespace edgefleet::http_server
