#pragma once

#include <memory>

#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

// Fails if the address of the broker is not valid.
Result<std::unique_ptr<Client>> make_paho_client(const Options& options, Client::OnEvent on_event);

}  // namespace edgefleet::mqtt
