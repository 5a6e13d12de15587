// Keys, requests and certificates that edgefleet would not make: what others may send, or a stolen key may sign.
#pragma once

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/pki/asn1.hpp"
#include "common/pki/authority.hpp"
#include "common/pki/general_names.hpp"
#include "common/pki/openssl.hpp"

namespace edgefleet::pki::test {

inline void must(bool done) {
  if (!done) throw std::runtime_error("OpenSSL cannot make what this test needs");
}

inline OwnedKey rsa_key() { return OwnedKey(EVP_RSA_gen(2048)); }
inline OwnedKey curve_key(const char* curve) { return OwnedKey(EVP_EC_gen(curve)); }
inline OwnedKey ed25519_key() { return OwnedKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }

// A key of P-256 whose public half is written in another form.
inline OwnedKey key_in_form(const char* parameter, const char* value) {
  OwnedKey key = curve_key("P-256");
  must(EVP_PKEY_set_utf8_string_param(key.get(), parameter, value) == 1);
  return key;
}
inline OwnedKey compressed_key() { return key_in_form(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"); }
inline OwnedKey explicit_key() { return key_in_form(OSSL_PKEY_PARAM_EC_ENCODING, "explicit"); }

struct Part {
  int field = NID_commonName;
  std::string text{};
  int type = V_ASN1_UTF8STRING;  // the bytes are taken as they are
  int set = 0;                   // -1: in one set with the part before it
};
using Subject = std::vector<Part>;

inline OwnedName name_of(const Subject& subject) {
  OwnedName name(X509_NAME_new());
  for (const Part& part : subject) {
    const Owned<X509_NAME_ENTRY, X509_NAME_ENTRY_free> entry(X509_NAME_ENTRY_new());
    must(X509_NAME_ENTRY_set_object(entry.get(), OBJ_nid2obj(part.field)) == 1);
    must(X509_NAME_ENTRY_set_data(entry.get(), part.type, bytes_of(part.text), static_cast<int>(part.text.size())) ==
         1);
    must(X509_NAME_add_entry(name.get(), entry.get(), -1, part.set) == 1);
  }
  return name;
}

inline std::string request_pem(EVP_PKEY* key, const Subject& subject = {{.text = "pi-1"}}) {
  const OwnedRequest request(X509_REQ_new());
  must(X509_REQ_set_subject_name(request.get(), name_of(subject).get()) == 1);
  must(X509_REQ_set_pubkey(request.get(), key) == 1);
  must(X509_REQ_sign(request.get(), key, EVP_PKEY_is_a(key, "ED25519") == 1 ? nullptr : EVP_sha256()) > 0);
  return pem_text(PEM_STRING_X509_REQ, der_of<i2d_X509_REQ>(request.get()));
}

// Whoever has the authority's key can sign anything.
struct Foreign {
  Subject subject{{.text = "pi-1"}};
  std::vector<std::pair<int, std::string>> names{};  // alternative names: GEN_DNS, GEN_URI, GEN_IPADD, bytes
  std::vector<std::pair<int, const char*>> extensions{};  // in OpenSSL's configuration language
  std::int64_t not_before = first_date;
  std::int64_t not_after = last_date;
  const Authority* authority = nullptr;  // nullptr: it signs itself
  EVP_PKEY* key = nullptr;  // nullptr: one of P-256
};

inline void add_names(X509* certificate, const Foreign& foreign) {
  const OwnedGeneralNames list(sk_GENERAL_NAME_new_null());
  for (const auto& [kind, bytes] : foreign.names) {
    OwnedGeneralName name = kind == GEN_IPADD ? ip_name(bytes) : kind == GEN_URI ? uri_name(bytes) : dns_name(bytes);
    must(sk_GENERAL_NAME_push(list.get(), name.release()) > 0);
  }
  if (foreign.names.empty()) return;
  must(X509_add1_ext_i2d(certificate, NID_subject_alt_name, list.get(), 0, 0) == 1);
}

inline std::string der_by(const Foreign& foreign) {
  const OwnedKey own = foreign.key == nullptr ? curve_key("P-256") : nullptr;
  EVP_PKEY* key = foreign.key == nullptr ? own.get() : foreign.key;
  const OwnedCertificate certificate(X509_new());
  const OwnedName subject = name_of(foreign.subject);
  must(X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  must(X509_set_serialNumber(certificate.get(), random_serial().get()) == 1);
  must(X509_set_subject_name(certificate.get(), subject.get()) == 1);
  must(X509_set_pubkey(certificate.get(), key) == 1);
  must(X509_set1_notBefore(certificate.get(), to_asn1(foreign.not_before).get()) == 1);
  must(X509_set1_notAfter(certificate.get(), to_asn1(foreign.not_after).get()) == 1);
  const X509* issuer = foreign.authority == nullptr ? certificate.get() : foreign.authority->certificate().handle();
  must(X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer)) == 1);
  for (const auto& [kind, value] : foreign.extensions) {
    const OwnedExtension extension(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value));
    must(extension && X509_add_ext(certificate.get(), extension.get(), -1) == 1);
  }
  add_names(certificate.get(), foreign);
  EVP_PKEY* signer = foreign.authority == nullptr ? key : foreign.authority->key().handle();
  must(X509_sign(certificate.get(), signer, EVP_sha256()) > 0);
  return der_of<i2d_X509>(certificate.get());
}

inline Certificate certificate_by(const Foreign& foreign) {
  auto made = Certificate::from_der(der_by(foreign));
  must(made.ok());
  return *made;
}

inline Authority authority_for(const std::vector<std::string>& names = {}, const char* fleet = "home") {
  auto made = Authority::make(*FleetName::parse(fleet), names);
  must(made.ok());
  return *made;
}
inline PublicKey some_key() { return Key::make()->public_key(); }
inline AgentName agent(const char* name) { return *AgentName::parse(name); }

}  // namespace edgefleet::pki::test
