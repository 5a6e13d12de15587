#include "common/mqtt/handshake.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <ctime>
#include <memory>
#include <vector>

#include "common/core/joined.hpp"

namespace edgefleet::mqtt {
namespace {

template <auto release>
struct Release {
  template <typename Object>
  void operator()(Object* object) const {
    release(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Release<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Release<SSL_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Release<GENERAL_NAMES_free>>;
using Clock = std::chrono::steady_clock;

constexpr std::size_t most_names = 6;
constexpr std::size_t longest_name = 80;

// What our check of the broker's certificate has found.
struct Finding {
  int error = X509_V_OK;
  std::string names;  // of the broker's certificate
  std::string begin;  // of the certificate with the error
  std::string end;
};

std::string text_of(const std::tm& date) {
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d", &date);
  return text.data();
}

std::string date_of(const ASN1_TIME* time) {
  std::tm date{};
  return time != nullptr && ASN1_TIME_to_tm(time, &date) == 1 ? text_of(date) : "an unknown date";
}

std::string today() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm date{};
  ::gmtime_r(&now, &date);
  return text_of(date);
}

std::string by_our_clock() { return "; by the clock of this machine it is " + today() + ": if that is wrong, set it"; }

// It stands in a certificate of whoever answers there.
std::string printable(const ASN1_STRING* text) {
  std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),  // NOLINT: OpenSSL's type of a byte
                   static_cast<std::size_t>(ASN1_STRING_length(text)));
  name = name.substr(0, longest_name);
  std::ranges::replace_if(name, [](unsigned char c) { return c <= ' ' || c >= 127; }, '?');
  return name;
}

std::string address_of(const ASN1_OCTET_STRING* address) {
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  const int size = ASN1_STRING_length(address);
  BIO_ADDR* parsed = BIO_ADDR_new();
  std::string shown = "an address";
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (parsed != nullptr && (size == 4 || size == 16) &&
      BIO_ADDR_rawmake(parsed, family, bytes, static_cast<std::size_t>(size), 0) == 1) {
    if (char* name = BIO_ADDR_hostname_string(parsed, 1)) {
      shown = name;
      OPENSSL_free(name);
    }
  }
  BIO_ADDR_free(parsed);
  return shown;
}

std::string names_of(const X509* certificate) {
  const Names all(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> names;
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()) && names.size() <= most_names; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    if (names.size() == most_names) {
      names.emplace_back("...");
    } else if (name->type == GEN_DNS) {
      names.push_back(printable(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      names.push_back(address_of(name->d.iPAddress));
    }
  }
  return names.empty() ? "no name" : joined(names);
}

// Notes the first error, which ends the handshake.
int on_verified(int good, X509_STORE_CTX* store) {
  if (good == 1) return 1;
  const auto* session =
      static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* finding = session == nullptr ? nullptr : static_cast<Finding*>(SSL_get_ex_data(session, 0));
  if (finding == nullptr) return 0;
  finding->error = X509_STORE_CTX_get_error(store);
  if (const X509* leaf = X509_STORE_CTX_get0_cert(store)) finding->names = names_of(leaf);
  if (const X509* bad = X509_STORE_CTX_get_current_cert(store)) {
    finding->begin = date_of(X509_get0_notBefore(bad));
    finding->end = date_of(X509_get0_notAfter(bad));
  }
  return 0;
}

std::string of_authority(const TlsFiles& files) {
  return files.ca.empty() ? "of an authority that this system knows (--broker-ca names another one)"
                          : "of the authority in " + files.ca;
}

std::string about_broker(const Finding& finding, const Address& broker, const TlsFiles& files) {
  switch (finding.error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the broker's certificate is for " + finding.names + ", not for " + broker.host +
             ": use a name of the certificate as the broker's address";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the broker's certificate, or its authority's, ended on " + finding.end + by_our_clock();
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the broker's certificate, or its authority's, begins on " + finding.begin + by_our_clock();
    case X509_V_ERR_INVALID_PURPOSE:
      return "the broker's certificate is not one for servers: it is another program, or its files were mixed up";
    case X509_V_ERR_PERMITTED_VIOLATION:
    case X509_V_ERR_EXCLUDED_VIOLATION:
      return "the broker's certificate is for " + finding.names + ", for which its authority may not issue any";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "the broker's certificate is not " + of_authority(files) +
             ": it is another broker, or it has a new authority";
    default:
      return "the broker's certificate cannot be verified: " +
             std::string(X509_verify_cert_error_string(finding.error));
  }
}

// With its end, by which its owner sees what to do.
std::string our_certificate(const SSL* session, const TlsFiles& files) {
  const X509* own = SSL_get_certificate(session);
  if (own == nullptr) return "the certificate of this program";
  return "the certificate in " + files.certificate + " (it ends on " + date_of(X509_get0_notAfter(own)) + ")";
}

// What a broker tells by an alert of TLS (RFC 8446, 6). Empty: an alert without a reason for people.
std::string about_us(int alert, const SSL* session, const TlsFiles& files) {
  if (files.certificate.empty() &&
      (alert == SSL_AD_CERTIFICATE_REQUIRED || alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_BAD_CERTIFICATE)) {
    return "the broker asks for a certificate, and this program has none (--broker-certificate and --broker-key)";
  }
  const std::string refuses = "the broker refuses " + our_certificate(session, files) + ": ";
  switch (alert) {
    case SSL_AD_CERTIFICATE_REVOKED:
      return refuses + "it was revoked; an agent joins again with `edgefleet-agent join --again` and a new token";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return refuses + "by the broker's clock it has ended, or has not begun";
    case SSL_AD_UNKNOWN_CA:
      return refuses + "it is not of the authority that the broker knows, or the broker has no list of revoked ones";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return refuses + "the broker has not got it";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_ACCESS_DENIED:
      return refuses + SSL_alert_desc_string_long(alert);
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_INSUFFICIENT_SECURITY:
    case SSL_AD_HANDSHAKE_FAILURE:
      return "the broker and this program have no version of TLS, or no cipher, in common, or it asks for another "
             "certificate";
    default:
      return "the broker ends the TLS handshake: " + std::string(SSL_alert_desc_string_long(alert));
  }
}

// The files, before anybody is asked. Empty: they can be used.
std::string use_files(SSL_CTX* context, const TlsFiles& files) {
  const bool trusted = files.ca.empty() ? SSL_CTX_set_default_verify_paths(context) == 1
                                        : SSL_CTX_load_verify_file(context, files.ca.c_str()) == 1;
  if (!trusted) return files.ca + " is not a PEM file of an authority that can be read";
  if (files.certificate.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
    return files.certificate + " is not a PEM file of a certificate that can be read";
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return files.key + " is not the key of the certificate in " + files.certificate + ", or cannot be read";
  }
  return {};
}

bool expect(SSL* session, const Address& broker) {
  X509_VERIFY_PARAM* wanted = SSL_get0_param(session);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, broker.host.c_str()) == 1) return true;
  ERR_clear_error();
  return SSL_set1_host(session, broker.host.c_str()) == 1 &&
         SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(broker.host.c_str())) == 1;  // NOLINT: the macro for this has a cast of C
}

// Waits for what OpenSSL wants; false: not until `until`.
bool ready(int fd, int wanted, Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  if (left <= 0) return false;
  pollfd one{fd, static_cast<short>(wanted == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN), 0};  // NOLINT: poll's type
  return ::poll(&one, 1, static_cast<int>(left)) == 1;
}

enum class Ended { quiet, failed };  // quiet: nothing more was said in time

template <typename Step>
Ended repeat(SSL* session, int fd, Clock::time_point until, bool& done, Step step) {
  for (;;) {
    ERR_clear_error();
    const int result = step();
    if (result > 0) {
      done = true;
      return Ended::quiet;
    }
    const int wanted = SSL_get_error(session, result);
    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) return Ended::failed;
    if (!ready(fd, wanted, until)) return Ended::quiet;
  }
}

// The reason of the failure that OpenSSL has noted last.
std::string why_failed(const SSL* session, const Finding& finding, const Address& broker, const TlsFiles& files,
                       bool accepted) {
  if (finding.error != X509_V_OK) return about_broker(finding, broker, files);
  const int reason = ERR_GET_REASON(ERR_peek_error());
  if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
    return about_us(reason - SSL_AD_REASON_OFFSET, session, files);
  }
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST || reason == SSL_R_PACKET_LENGTH_TOO_LONG) {
    return "the server there does not speak TLS on this port: check the port, or use mqtt:// for a broker without TLS";
  }
  if (accepted) {
    return "the server there closes the TLS connection after the handshake: it is busy, or refuses this program's "
           "certificate without saying so";
  }
  return "the server there closes the connection during the TLS handshake: it is busy, has too many connections, or "
         "speaks no TLS on this port";
}

}  // namespace

std::string why_no_tls(int fd, const Address& broker, const TlsFiles& files, Duration patience) {
  const auto until = Clock::now() + patience;
  ERR_clear_error();
  const Context context(SSL_CTX_new(TLS_client_method()));
  constexpr const char* no_memory = "there is no memory for a TLS connection";
  if (!context) return no_memory;
  if (auto problem = use_files(context.get(), files); !problem.empty()) {
    ERR_clear_error();
    return problem;
  }
  Finding finding;
  const Session session(SSL_new(context.get()));
  if (!session || SSL_set_fd(session.get(), fd) != 1 || !expect(session.get(), broker)) return no_memory;
  SSL_set_ex_data(session.get(), 0, &finding);
  SSL_set_verify(session.get(), SSL_VERIFY_PEER, on_verified);

  bool accepted = false;
  auto ended = repeat(session.get(), fd, until, accepted, [&] { return SSL_connect(session.get()); });
  if (ended == Ended::quiet && !accepted) {
    return "the server there does not complete a TLS handshake: check that this is a broker's port for TLS";
  }
  // In TLS 1.3 a broker looks at our certificate only after our part of the handshake is over.
  bool spoke = false;
  if (accepted) {
    ended = repeat(session.get(), fd, until, spoke, [&] {
      char byte = 0;
      return SSL_read(session.get(), &byte, 1);
    });
  }
  const std::string text =
      ended == Ended::failed
          ? why_failed(session.get(), finding, broker, files, accepted)
          : "there is a TLS connection with the server there, but it accepts no MQTT 5 connection; check that this is "
            "the port of a broker";
  ERR_clear_error();
  return text;
}

}  // namespace edgefleet::mqtt
