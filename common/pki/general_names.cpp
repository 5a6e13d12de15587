#include "common/pki/general_names.hpp"

namespace edgefleet::pki {
namespace {

template <typename Value>
OwnedGeneralName named(int kind, Value value, const std::string& bytes) {
  OwnedGeneralName name(GENERAL_NAME_new());
  if (!name || !value || ASN1_STRING_set(value.get(), bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return nullptr;
  }
  GENERAL_NAME_set0_value(name.get(), kind, value.release());
  return name;
}

}  // namespace

OwnedGeneralName uri_name(const std::string& uri) { return named(GEN_URI, OwnedIa5(ASN1_IA5STRING_new()), uri); }
OwnedGeneralName dns_name(const std::string& name) { return named(GEN_DNS, OwnedIa5(ASN1_IA5STRING_new()), name); }
OwnedGeneralName ip_name(const std::string& bytes) {
  return named(GEN_IPADD, OwnedOctets(ASN1_OCTET_STRING_new()), bytes);
}

}  // namespace edgefleet::pki
