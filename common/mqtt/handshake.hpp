// Why there is no TLS connection with a broker, for the log: one handshake of our own, with the same files.
#pragma once

#include <string>

#include "common/core/time.hpp"
#include "common/mqtt/address.hpp"
#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

// `fd`: a connection to the broker that does not block; the caller closes it. Blocks for at most `patience`: a broker
// that accepts our certificate says nothing, so that the whole of it passes. Any thread. A program that uses it ignores
// SIGPIPE. The text is for people, and complete after "broker X: "; what it has from the peer is bounded and printable.
std::string why_no_tls(int fd, const Address& broker, const TlsFiles& files, Duration patience);

}  // namespace edgefleet::mqtt
