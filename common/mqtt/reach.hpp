// Why a broker cannot be used. Paho tells only that it failed, so this tries a connection of its own, for the log.
#pragma once

#include <string>

#include "common/core/time.hpp"

namespace edgefleet::mqtt {

// `broker`: mqtt://HOST[:PORT] or mqtts://. Resolves the name, connects, and closes the connection; blocks for at most
// `patience`, and while the resolver needs to answer.
std::string why_unusable(const std::string& broker, Duration patience);

}  // namespace edgefleet::mqtt
