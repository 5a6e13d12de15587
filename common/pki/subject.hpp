// Distinguished names: the subjects of certificates. For the sources of this room only.
#pragma once

#include <string>

#include "common/core/ids.hpp"
#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

// The only part of a subject, if it is a common name that can be read in one way only (certificate.hpp).
Result<std::string> common_name_of(const X509_NAME* subject);
// nullptr: OpenSSL refuses it; for a text of more than 64 bytes too.
OwnedName common_name_subject(const std::string& name);

// A certification authority's: its fleet is the organization, and the common name has the beginning of the key's id,
// because two authorities of one fleet, an old and a new one, must not have the same name.
OwnedName authority_subject(const FleetName& fleet, const std::string& key_id);
Result<FleetName> fleet_of(const X509_NAME* subject);

}  // namespace edgefleet::pki
