#include "common/pki/draft.hpp"

#include "common/pki/asn1.hpp"

namespace edgefleet::pki {

Draft::Draft(const PublicKey& key, OwnedName subject, std::int64_t not_before, std::int64_t not_after)
    : draft_(X509_new()) {
  const auto public_key = object_of<OwnedKey, d2i_PUBKEY>(key.der());
  const auto serial = random_serial();
  const auto begin = to_asn1(not_before);
  const auto end = to_asn1(not_after);
  check(draft_ && public_key && serial && begin && end && subject);
  if (!whole_) return;
  check(X509_set_version(draft_.get(), X509_VERSION_3) == 1);
  check(X509_set_serialNumber(draft_.get(), serial.get()) == 1);
  check(X509_set_subject_name(draft_.get(), subject.get()) == 1);
  check(X509_set_pubkey(draft_.get(), public_key.get()) == 1);
  check(X509_set1_notBefore(draft_.get(), begin.get()) == 1);
  check(X509_set1_notAfter(draft_.get(), end.get()) == 1);
}

void Draft::make_authority(const NAME_CONSTRAINTS& constraints) {
  add(NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add(NID_key_usage, "critical,keyCertSign,cRLSign");
  add(NID_name_constraints, const_cast<NAME_CONSTRAINTS*>(&constraints), true);  // NOLINT: OpenSSL's type; it is read
}

void Draft::make_leaf(Use use, const GENERAL_NAMES& names) {
  add(NID_basic_constraints, "critical,CA:FALSE");
  add(NID_key_usage, "critical,digitalSignature");
  add(NID_ext_key_usage, use == Use::client ? "clientAuth" : "serverAuth");
  add(NID_subject_alt_name, const_cast<GENERAL_NAMES*>(&names), false);  // NOLINT: OpenSSL's type; it is read
}

Result<Certificate> Draft::sign(const Key& key, const Certificate* issuer) {
  const Errors errors;
  if (whole_) {
    const X509* by = issuer == nullptr ? draft_.get() : issuer->handle();
    check(X509_set_issuer_name(draft_.get(), X509_get_subject_name(by)) == 1);
  }
  add(NID_subject_key_identifier, "hash");
  if (issuer != nullptr) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer->handle(), draft_.get(), nullptr, nullptr, 0);
    const OwnedExtension extension(
        X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
    check(whole_ && extension && X509_add_ext(draft_.get(), extension.get(), -1) == 1);
  }
  if (!whole_ || X509_sign(draft_.get(), key.handle(), EVP_sha256()) <= 0) {
    return errors.because("cannot make a certificate");
  }
  return Certificate::from_der(der_of<i2d_X509>(draft_.get()));
}

// `value` is in OpenSSL's configuration language: for constants only.
void Draft::add(int kind, const char* value) {
  if (!whole_) return;
  X509V3_CTX context{};
  X509V3_set_ctx(&context, draft_.get(), draft_.get(), nullptr, nullptr, 0);
  const OwnedExtension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  check(extension && X509_add_ext(draft_.get(), extension.get(), -1) == 1);
}

void Draft::add(int kind, void* value, bool critical) {
  if (whole_) check(X509_add1_ext_i2d(draft_.get(), kind, value, critical ? 1 : 0, 0) == 1);
}

}  // namespace edgefleet::pki
