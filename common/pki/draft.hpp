// A certificate before it is signed. For the sources of this room only.
#pragma once

#include <cstdint>

#include "common/pki/certificate.hpp"
#include "common/pki/dates.hpp"
#include "common/pki/key.hpp"
#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

class Draft {
 public:
  // With a serial number of its own.
  Draft(const PublicKey& key, OwnedName subject, std::int64_t not_before, std::int64_t not_after);

  // The fields of a certification authority; those of the certificates that it issues.
  void make_authority(const NAME_CONSTRAINTS& constraints);
  void make_leaf(Use use, const GENERAL_NAMES& names);

  // Without an issuer it signs itself.
  Result<Certificate> sign(const Key& key, const Certificate* issuer);

 private:
  void check(bool done) { whole_ = whole_ && done; }
  void add(int kind, const char* value);
  void add(int kind, void* value, bool critical);

  OwnedCertificate draft_;
  bool whole_ = true;  // false: a step failed, and sign() says so
};

}  // namespace edgefleet::pki
