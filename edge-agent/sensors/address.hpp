// The address under which this machine is found on its network. Sends nothing and asks no name server.
#pragma once

#include <string>

namespace edgefleet::agent {

// The machine's own address on the way to `broker_host`, if that is a numeric address of another machine; otherwise on
// the way to the default gateway. Without a gateway, the first address of an interface that is up. Empty: there is
// none.
std::string own_address(const std::string& broker_host);

}  // namespace edgefleet::agent
