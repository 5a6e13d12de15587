#include "common/pki/revocation.hpp"

#include <algorithm>
#include <map>

#include "common/pki/asn1.hpp"
#include "common/pki/openssl.hpp"

namespace edgefleet::pki {
namespace {

const std::string what = "the revocation list";

Status add(X509_CRL* crl, const std::string& serial, std::int64_t at) {
  const auto number = serial_from(serial);
  if (!number) return invalid(what + ": a serial is not 1 to 40 lower-case hexadecimal digits");
  const auto date = to_asn1(at);
  if (!date) return invalid(what + ": serial " + serial + " was revoked at a time that is not in 1970 to 9999");
  OwnedRevoked entry(X509_REVOKED_new());
  const bool added = entry && X509_REVOKED_set_serialNumber(entry.get(), number.get()) == 1 &&
                     X509_REVOKED_set_revocationDate(entry.get(), date.get()) == 1 &&
                     X509_CRL_add0_revoked(crl, entry.get()) == 1;
  if (!added) return Error{what + ": no memory for its entries"};
  entry.release();  // NOLINT: the list has it now
  return success();
}

bool add_extensions(X509_CRL* crl, const Certificate& ca, std::int64_t number) {
  const OwnedInteger value(ASN1_INTEGER_new());
  X509V3_CTX context{};
  X509V3_set_ctx(&context, ca.handle(), nullptr, nullptr, crl, 0);
  const OwnedExtension key_id(X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  return value && key_id && ASN1_INTEGER_set_int64(value.get(), number) == 1 &&
         X509_CRL_add_ext(crl, key_id.get(), -1) == 1 &&
         X509_CRL_add1_ext_i2d(crl, NID_crl_number, value.get(), 0, 0) == 1;
}

// Leading zeros are no part of a number, so serials are compared without them.
std::string same_form(const std::string& serial) {
  const auto number = serial_from(serial);
  return number ? serial_text(number.get()) : serial;
}

bool critical(const X509_EXTENSION* extension) { return X509_EXTENSION_get_critical(extension) != 0; }

bool only_plain_extensions(const X509_CRL* crl) {
  for (int i = 0; i < X509_CRL_get_ext_count(crl); ++i) {
    if (critical(X509_CRL_get_ext(crl, i))) return false;
  }
  return true;
}

bool only_plain_extensions(const X509_REVOKED* entry) {
  for (int i = 0; i < X509_REVOKED_get_ext_count(entry); ++i) {
    if (critical(X509_REVOKED_get_ext(entry, i))) return false;
  }
  return true;
}

Status check_signature(X509_CRL* crl, const Certificate& ca) {
  const Errors errors;
  const bool may_sign = ca.is_authority() && (X509_get_key_usage(ca.handle()) & KU_CRL_SIGN) != 0;
  if (!may_sign) return invalid(what + ": the certificate to check it by is of no authority that signs such lists");
  if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca.handle())) != 0) {
    return invalid(what + " is of another certification authority");
  }
  if (X509_CRL_verify(crl, X509_get0_pubkey(ca.handle())) == 1) return success();
  return errors.because(what + " is not signed by the certification authority", ErrorKind::invalid);
}

Result<std::int64_t> number_of(const X509_CRL* crl) {
  const OwnedInteger value(static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl, NID_crl_number, nullptr, nullptr)));
  std::int64_t number = 0;
  if (!value || ASN1_INTEGER_get_int64(&number, value.get()) != 1 || number < 0) {
    return invalid(what + " has no number, or one out of range");
  }
  return number;
}

Result<std::vector<Revoked>> entries_of(X509_CRL* crl) {
  const auto* list = X509_CRL_get_REVOKED(crl);
  const int count = list == nullptr ? 0 : sk_X509_REVOKED_num(list);
  if (static_cast<std::size_t>(std::max(count, 0)) > most_revoked) {
    return Error{what + " has more than " + std::to_string(most_revoked) + " entries", ErrorKind::too_large};
  }
  std::map<std::string, std::int64_t> dates;
  for (int i = 0; i < count; ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(list, i);
    const auto date = date_of(X509_REVOKED_get0_revocationDate(entry));
    if (!date || !only_plain_extensions(entry)) return invalid(what + " has an entry that cannot be read");
    const auto [at, fresh] = dates.try_emplace(serial_text(X509_REVOKED_get0_serialNumber(entry)), *date);
    if (!fresh) at->second = std::min(at->second, *date);
  }
  std::vector<Revoked> revoked;
  revoked.reserve(dates.size());
  for (const auto& [serial, at] : dates) revoked.push_back({serial, at});
  return revoked;
}

}  // namespace

bool RevocationList::contains(std::string_view serial) const {
  const auto at = std::lower_bound(revoked.begin(), revoked.end(), serial,
                                   [](const Revoked& entry, std::string_view wanted) { return entry.serial < wanted; });
  return at != revoked.end() && at->serial == serial;
}

Result<std::string> make_crl(const Certificate& ca, const Key& key, std::int64_t number,
                             const std::vector<Revoked>& revoked, std::int64_t last_update) {
  if (number < 0) return invalid(what + ": its number is negative");
  std::map<std::string, std::int64_t> dates;
  for (const auto& [serial, at] : revoked) {
    const auto [entry, fresh] = dates.try_emplace(same_form(serial), at);
    if (!fresh) entry->second = std::min(entry->second, at);
  }
  if (dates.size() > most_revoked) {
    return Error{what + ": it takes " + std::to_string(most_revoked) + " entries at most", ErrorKind::too_large};
  }
  const auto begin = to_asn1(last_update);
  if (!begin) return invalid(what + ": its date is not in 1970 to 9999");
  const auto end = to_asn1(last_date);
  const Errors errors;
  const OwnedCrl crl(X509_CRL_new());
  const bool made = crl && end && X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) == 1 &&
                    X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(ca.handle())) == 1 &&
                    X509_CRL_set1_lastUpdate(crl.get(), begin.get()) == 1 &&
                    X509_CRL_set1_nextUpdate(crl.get(), end.get()) == 1 && add_extensions(crl.get(), ca, number);
  if (!made) return errors.because("cannot make " + what);
  for (const auto& [serial, at] : dates) {
    if (auto added = add(crl.get(), serial, at); !added) return added.error();
  }
  if (X509_CRL_sort(crl.get()) != 1 || X509_CRL_sign(crl.get(), key.handle(), EVP_sha256()) <= 0) {
    return errors.because("cannot sign " + what);
  }
  return pem_text(PEM_STRING_X509_CRL, der_of<i2d_X509_CRL>(crl.get()));
}

Result<RevocationList> read_crl(std::string_view pem, const Certificate& ca) {
  const auto der = pem_block(pem, PEM_STRING_X509_CRL, most_crl_text, what);
  if (!der) return der.error();
  const Errors errors;
  const auto crl = object_of<OwnedCrl, d2i_X509_CRL>(*der);
  if (!crl) return errors.because(what + " cannot be read", ErrorKind::invalid);
  if (auto checked = check_signature(crl.get(), ca); !checked) return checked.error();
  if (!only_plain_extensions(crl.get())) return unsupported(what + " is about a part of the certificates only");
  const auto number = number_of(crl.get());
  if (!number) return number.error();
  const auto begin = date_of(X509_CRL_get0_lastUpdate(crl.get()));
  if (!begin) return invalid(what + " has a date that cannot be read");
  auto entries = entries_of(crl.get());
  if (!entries) return entries.error();
  return RevocationList{*number, *begin, std::move(*entries)};
}

}  // namespace edgefleet::pki
