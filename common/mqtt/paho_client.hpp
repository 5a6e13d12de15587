#pragma once

#include <memory>

#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

// Fails on a broker address that cannot be read.
Result<std::unique_ptr<Client>> make_paho_client(const Options& options, Client::OnEvent on_event);

// mqtt://HOST[:PORT], port 1883 if none is given; what Paho wants is tcp://HOST:PORT.
Result<std::string> paho_uri(const std::string& broker);

}  // namespace edgefleet::mqtt
