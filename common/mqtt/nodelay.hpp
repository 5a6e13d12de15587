#pragma once

namespace edgefleet::mqtt {

// Called by the adapter, so that the linker takes nodelay.cpp out of its archive.
void use_tcp_nodelay();

}  // namespace edgefleet::mqtt
