#pragma once

namespace edgefleet::mqtt {

// Called by the adapter, so that the linker includes nodelay.cpp from its archive.
void use_tcp_nodelay();

}  // namespace edgefleet::mqtt
