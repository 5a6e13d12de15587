#include "common/pki/certificate.hpp"

#include <algorithm>

#include "common/pki/asn1.hpp"
#include "common/pki/names.hpp"
#include "common/pki/openssl.hpp"
#include "common/pki/subject.hpp"

namespace edgefleet::pki {
namespace {

const std::string what = "the certificate";

// A control character or a NUL within a name has made programs read another name than the one that was signed.
bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

Status add_name(AlternativeNames& names, const GENERAL_NAME& name) {
  int kind = 0;
  const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(&name, &kind));
  if (kind != GEN_URI && kind != GEN_DNS && kind != GEN_IPADD) return success();
  const std::string bytes(view_of(value));
  if (kind == GEN_IPADD) {
    if (bytes.size() != 4 && bytes.size() != 16) return invalid(what + " has an IP address that is none");
    names.ips.push_back(IpAddress{bytes}.str());
    return success();
  }
  if (bytes.empty() || !printable(bytes)) return invalid(what + " has a name that is not printable");
  (kind == GEN_URI ? names.uris : names.dns).push_back(bytes);
  return success();
}

Result<AlternativeNames> names_of(const X509* certificate) {
  int found = 0;
  const OwnedGeneralNames list(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, nullptr)));
  AlternativeNames names;
  if (!list && found == -1) return names;  // it has none
  if (!list) return invalid(what + " has alternative names that cannot be read");
  for (int i = 0; i < sk_GENERAL_NAME_num(list.get()); ++i) {
    if (auto added = add_name(names, *sk_GENERAL_NAME_value(list.get(), i)); !added) return added.error();
  }
  return names;
}

}  // namespace

Certificate::Certificate(std::shared_ptr<x509_st> handle, std::string der)
    : handle_(std::move(handle)),
      der_(std::move(der)),
      common_name_(common_name_of(X509_get_subject_name(handle_.get()))),
      public_key_(PublicKey::of(X509_get0_pubkey(handle_.get()))) {}

Result<Certificate> Certificate::from_pem(std::string_view text) {
  const auto der = pem_block(text, PEM_STRING_X509, most_certificate_text, what);
  if (!der) return der.error();
  return from_der(*der);
}

Result<Certificate> Certificate::from_der(std::string_view der) {
  if (der.size() > most_certificate_text) {
    return Error{what + " has more than " + std::to_string(most_certificate_text) + " bytes", ErrorKind::too_large};
  }
  const Errors errors;
  auto owned = object_of<OwnedCertificate, d2i_X509>(der);
  if (!owned) return errors.because(what + " cannot be read", ErrorKind::invalid);
  const std::shared_ptr<X509> handle(std::move(owned));
  // The same certificate in another encoding would have another fingerprint.
  if (der_of<i2d_X509>(handle.get()) != der) return invalid(what + " is not in DER");
  Certificate certificate(handle, std::string(der));
  if (auto read = certificate.read(); !read) return read.error();
  return certificate;
}

Status Certificate::read() {
  const auto begin = date_of(X509_get0_notBefore(handle_.get()));
  const auto end = date_of(X509_get0_notAfter(handle_.get()));
  if (!begin || !end) return invalid(what + " has a date that cannot be read");
  auto names = names_of(handle_.get());
  if (!names) return names.error();
  not_before_ = *begin;
  not_after_ = *end;
  names_ = std::move(*names);
  serial_ = serial_text(X509_get0_serialNumber(handle_.get()));
  is_authority_ = X509_check_ca(handle_.get()) == 1;  // other values: it only looks like one
  return success();
}

std::string Certificate::pem() const { return pem_text(PEM_STRING_X509, der_); }
std::string Certificate::fingerprint() const { return sha256_hex(der_); }

Status Certificate::verified_by(const Certificate& ca, Use use) const {
  if (der_ == ca.der_) return invalid(what + " is that of the certification authority itself");
  const Errors errors;
  const OwnedStore store(X509_STORE_new());
  const OwnedStoreContext context(X509_STORE_CTX_new());
  const int purpose = use == Use::client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
  const bool ready = store && context && X509_STORE_add_cert(store.get(), ca.handle()) == 1 &&
                     X509_STORE_CTX_init(context.get(), store.get(), handle(), nullptr) == 1 &&
                     X509_STORE_CTX_set_purpose(context.get(), purpose) == 1;
  if (!ready) return errors.because("cannot verify " + what);
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
  if (X509_verify_cert(context.get()) == 1) return success();
  return invalid(what + " does not pass: " + X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
}

}  // namespace edgefleet::pki
