#include "common/pki/request.hpp"

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {

Result<std::string> make_request(const Key& key, const std::string& common_name) {
  const Errors errors;
  const OwnedRequest request(X509_REQ_new());
  const OwnedName subject(X509_NAME_new());
  const bool made = request && subject && !common_name.empty() &&
                    X509_NAME_add_entry_by_NID(subject.get(), NID_commonName, MBSTRING_UTF8, bytes_of(common_name),
                                               static_cast<int>(common_name.size()), -1, 0) == 1 &&
                    X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                    X509_REQ_set_subject_name(request.get(), subject.get()) == 1 &&
                    X509_REQ_set_pubkey(request.get(), key.handle()) == 1 &&
                    X509_REQ_sign(request.get(), key.handle(), EVP_sha256()) > 0;
  if (!made) return errors.because("cannot make a certificate request", ErrorKind::invalid);
  return pem_text(PEM_STRING_X509_REQ, der_of<i2d_X509_REQ>(request.get()));
}

Result<PublicKey> read_request(std::string_view pem) {
  const std::string what = "the certificate request";
  const auto der = pem_block(pem, PEM_STRING_X509_REQ, most_request_text, what);
  if (!der) return der.error();
  const Errors errors;
  const auto request = object_of<OwnedRequest, d2i_X509_REQ>(*der);
  if (!request) return errors.because(what + " cannot be read", ErrorKind::invalid);
  // The kind of the key comes first: only then is it known what a look at the signature costs.
  auto key = PublicKey::of(X509_REQ_get0_pubkey(request.get()));
  if (!key) return key.error().context(what);
  if (X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) != 1) {
    return errors.because(what + " is not signed by its key", ErrorKind::invalid);
  }
  return key;
}

}  // namespace edgefleet::pki
