// Name constraints: what a fleet's certification authority may issue certificates for. For the sources of this room
// only.
#pragma once

#include <string>
#include <vector>

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

// `.local`, loopback, private and link-local addresses, and the given DNS names, addresses and ranges. A name of
// several labels also permits what is below it, which belongs to the same owner; below a name of one label nothing is
// permitted, since it may be a top-level domain too ("dev", "box"). Errors: a name that is none, a range so large that
// it is no longer one network, more than 64 names.
Result<OwnedConstraints> constraints_for(const std::vector<std::string>& names);

}  // namespace edgefleet::pki
