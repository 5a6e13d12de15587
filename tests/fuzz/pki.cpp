// Requests, certificates and revocation lists: the first line says which; PEM, or DER, which is then put into PEM.
#include <string>

#include "common/pki/certificate.hpp"
#include "common/pki/openssl.hpp"
#include "common/pki/request.hpp"
#include "common/pki/revocation.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;

namespace {

// It has signed the seeds; its key is lost.
const char* const authority_pem = R"(
-----BEGIN CERTIFICATE-----
MIICfDCCAiKgAwIBAgIQMbjkR7qnRNJ5FL3XbQoDOzAKBggqhkjOPQQDAjAvMQ0w
CwYDVQQKDARob21lMR4wHAYDVQQDDBVlZGdlZmxlZXQgQ0EgN2VmODEyNmQwIBcN
NzAwMTAxMDAwMDAwWhgPOTk5OTEyMzEyMzU5NTlaMC8xDTALBgNVBAoMBGhvbWUx
HjAcBgNVBAMMFWVkZ2VmbGVldCBDQSA3ZWY4MTI2ZDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABMwSAu3ImvkLfAXrAny1/Ia9Rq84JSLKuYo2VKZi4fLffI35JIhJ
YlUzl0qxjipY52R4hJmVsy/8ZQwOOVb7qiGjggEcMIIBGDASBgNVHRMBAf8ECDAG
AQH/AgEAMA4GA1UdDwEB/wQEAwIBBjCB0gYDVR0eAQH/BIHHMIHEoIHBMAeCBWxv
Y2FsMAqHCH8AAAD/AAAAMAqHCAoAAAD/AAAAMAqHCKwQAAD/8AAAMAqHCMCoAAD/
/wAAMAqHCKn+AAD//wAAMCKHIPwAAAAAAAAAAAAAAAAAAAD+AAAAAAAAAAAAAAAA
AAAAMCKHIP6AAAAAAAAAAAAAAAAAAAD/wAAAAAAAAAAAAAAAAAAAMCKHIAAAAAAA
AAAAAAAAAAAAAAH/////////////////////MA6CDGhvbWUuZXhhbXBsZTAdBgNV
HQ4EFgQUCRC+5LLUQcZ5fXWgwwECZxPQLhQwCgYIKoZIzj0EAwIDSAAwRQIhAPfd
omwhKYZcJ7aKuud/SpQakz2JvQWhafm7o9PfEwnHAiAz6QbtuEksFIvzjjqwDuE/
tGKam3+6P1Ea3A8ZHZi81g==
-----END CERTIFICATE-----
)";

const pki::Certificate& authority() {
  static const auto read = pki::Certificate::from_pem(authority_pem);
  require(read.ok(), "the authority of the seeds is read");
  return *read;
}

std::string pem(std::string_view text, const char* label) {
  return text.starts_with("-----") ? std::string(text) : pki::pem_text(label, std::string(text));
}

void check_request(std::string_view text) {
  const auto key = pki::read_request(pem(text, PEM_STRING_X509_REQ));
  if (!key) return require(!key.error().message.empty(), "a refusal has a reason");
  const auto again = pki::PublicKey::from_der(key->der());
  require(again.ok() && *again == *key, "a key that was taken is taken again");
}

void check_certificate(std::string_view text) {
  const auto certificate = pki::Certificate::from_pem(pem(text, PEM_STRING_X509));
  if (!certificate) return require(!certificate.error().message.empty(), "a refusal has a reason");
  const auto again = pki::Certificate::from_pem(certificate->pem());
  require(again.ok() && again->fingerprint() == certificate->fingerprint(), "a certificate is written as it was read");
  require(again->serial() == certificate->serial() && again->names() == certificate->names(), "and so are its fields");
  const auto& name = certificate->common_name();
  require(!name.ok() || (!name->empty() && name->find_first_of(std::string("/+#\n\0", 5)) == std::string::npos),
          "a common name is harmless in topics and logs");
  // The seeds have certificates for each of the two uses, none for both.
  const bool client = certificate->verified_by(authority(), pki::Use::client).ok();
  const bool server = certificate->verified_by(authority(), pki::Use::server).ok();
  require(!(client && server), "no certificate of this authority serves both uses");
}

void check_crl(std::string_view text) {
  const auto list = pki::read_crl(pem(text, PEM_STRING_X509_CRL), authority());
  if (!list) return require(!list.error().message.empty(), "a refusal has a reason");
  for (const auto& entry : list->revoked) require(list->contains(entry.serial), "what is listed is found");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = text_of(data, size);
  const auto kind = take_line(rest);
  if (kind == "request") check_request(rest);
  if (kind == "certificate") check_certificate(rest);
  if (kind == "crl") check_crl(rest);
  return 0;
}
