// What OpenSSL says to a certificate, as a broker, a client or a browser asks it.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <utility>

#include "common/pki/certificate.hpp"
#include "common/pki/names.hpp"
#include "common/pki/openssl.hpp"
#include "tests/unit/common/pki/foreign.hpp"

namespace edgefleet::pki::test {

struct Question {
  int purpose = X509_PURPOSE_SSL_CLIENT;
  std::int64_t at = 1'800'000'000;
  std::string crl{};   // PEM; empty: revocation is not checked
  std::string host{};  // DNS name or IP address; empty: not checked
};

inline void add_crl(X509_STORE* store, const std::string& pem) {
  const auto der = pem_block(pem, PEM_STRING_X509_CRL, pem.size(), "a list of this test");
  must(der.ok());
  const auto crl = object_of<OwnedCrl, d2i_X509_CRL>(*der);
  must(crl && X509_STORE_add_crl(store, crl.get()) == 1);
}

// Where the system's time ends in 2038, OpenSSL cannot be asked about later.
inline bool can_ask_at(std::int64_t at) { return std::in_range<std::time_t>(at); }

// "ok", or OpenSSL's words for the error.
inline std::string verdict(const Certificate& certificate, const Certificate& ca, const Question& question = {}) {
  const OwnedStore store(X509_STORE_new());
  const OwnedStoreContext context(X509_STORE_CTX_new());
  must(X509_STORE_add_cert(store.get(), ca.handle()) == 1);
  if (!question.crl.empty()) add_crl(store.get(), question.crl);
  must(X509_STORE_CTX_init(context.get(), store.get(), certificate.handle(), nullptr) == 1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  must(X509_STORE_CTX_set_purpose(context.get(), question.purpose) == 1);
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
  X509_VERIFY_PARAM_set_time(parameters, static_cast<std::time_t>(question.at));
  X509_VERIFY_PARAM_set_auth_level(parameters, 2);  // Debian's for TLS
  if (!question.crl.empty()) X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK);
  const bool is_ip = IpAddress::parse(question.host).has_value();
  if (is_ip) must(X509_VERIFY_PARAM_set1_ip_asc(parameters, question.host.c_str()) == 1);
  if (!is_ip && !question.host.empty()) must(X509_VERIFY_PARAM_set1_host(parameters, question.host.c_str(), 0) == 1);
  if (X509_verify_cert(context.get()) == 1) return "ok";
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

inline Question as_server(std::string host = {}) {
  return {.purpose = X509_PURPOSE_SSL_SERVER, .host = std::move(host)};
}

}  // namespace edgefleet::pki::test
