// Names in the form of ASN.1. Built from values, not from OpenSSL's configuration language, in which a comma in a name
// would begin another one. For the sources of this room only.
#pragma once

#include <string>

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

// nullptr: no memory.
OwnedGeneralName uri_name(const std::string& uri);
OwnedGeneralName dns_name(const std::string& name);
OwnedGeneralName ip_name(const std::string& bytes);  // of an address; in name constraints, followed by its mask

}  // namespace edgefleet::pki
