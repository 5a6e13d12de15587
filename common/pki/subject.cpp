#include "common/pki/subject.hpp"

namespace edgefleet::pki {
namespace {

constexpr std::string_view of_common_name = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .:_-";
constexpr std::size_t longest_common_name = 64;  // RFC 5280, ub-common-name

bool add(X509_NAME* subject, int kind, const std::string& text) {
  return X509_NAME_add_entry_by_NID(subject, kind, MBSTRING_UTF8, bytes_of(text), static_cast<int>(text.size()), -1,
                                    0) == 1;
}

}  // namespace

Result<std::string> common_name_of(const X509_NAME* subject) {
  const Error wrong = invalid("the subject is not exactly one common name");
  if (X509_NAME_entry_count(subject) != 1) return wrong;
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) return wrong;
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(entry);
  const int kind = ASN1_STRING_type(value);
  const auto text = view_of(value);
  const bool plain = (kind == V_ASN1_UTF8STRING || kind == V_ASN1_PRINTABLESTRING) && !text.empty() &&
                     text.size() <= longest_common_name &&
                     text.find_first_not_of(of_common_name) == std::string_view::npos;
  if (!plain) return invalid("the subject's common name is not 1 to 64 letters, digits, spaces and \".:_-\"");
  return std::string(text);
}

OwnedName common_name_subject(const std::string& name) {
  OwnedName subject(X509_NAME_new());
  return subject && add(subject.get(), NID_commonName, name) ? std::move(subject) : nullptr;
}

OwnedName authority_subject(const FleetName& fleet, const std::string& key_id) {
  OwnedName subject(X509_NAME_new());
  const bool made = subject && add(subject.get(), NID_organizationName, fleet.str()) &&
                    add(subject.get(), NID_commonName, "edgefleet CA " + key_id.substr(0, 8));
  return made ? std::move(subject) : nullptr;
}

Result<FleetName> fleet_of(const X509_NAME* subject) {
  const int at = X509_NAME_get_index_by_NID(subject, NID_organizationName, -1);
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, at);
  auto fleet = entry == nullptr ? std::nullopt : FleetName::parse(view_of(X509_NAME_ENTRY_get_data(entry)));
  if (!fleet) return invalid("the subject does not name a fleet as its organization");
  return *fleet;
}

}  // namespace edgefleet::pki
