// Converts the coordinator's messages to events of the core.
#pragma once

#include "common/protocol/codec.hpp"
#include "edge-agent/core/event.hpp"

namespace edgefleet::agent {

Event event_of(protocol::TasksMessage message, const Capability& capability);
Event event_of(const protocol::ControlMessage& message);

}  // namespace edgefleet::agent
