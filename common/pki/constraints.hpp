// Name constraints: what a fleet's certification authority may issue certificates for. For the sources of this room
// only.
#pragma once

#include <string>
#include <vector>

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

// `.local`, loopback, private and link-local addresses, and the given DNS names, addresses and ranges. A name of
// several labels also permits what is below it, which belongs to the same owner. A name of one label may be a top-level
// domain too ("dev", "box"), so what is below it is excluded, by a constraint that begins with a dot. RFC 5280 does not
// know this form, OpenSSL, GnuTLS, NSS and Go do; Python's cryptography refuses such an authority as a whole, so
// whoever can does without names of one label. Errors: a name that is none, a range so large that it is no longer one
// network, more than 64 names.
Result<OwnedConstraints> constraints_for(const std::vector<std::string>& names);

}  // namespace edgefleet::pki
