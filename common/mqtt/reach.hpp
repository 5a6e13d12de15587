// Why a broker cannot be used. Paho tells only that it failed, so this tries a connection of its own, for the log.
#pragma once

#include <string>

#include "common/core/time.hpp"
#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

// `broker`: mqtt://HOST[:PORT] or mqtts://; `files` are for the latter. Resolves the name, connects, makes a TLS
// handshake, and closes the connection; blocks for at most twice `patience`, and while the resolver needs to answer.
// Any thread.
std::string why_unusable(const std::string& broker, const TlsFiles& files, Duration patience);

}  // namespace edgefleet::mqtt
