// Certificates (X.509) as values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "common/pki/key.hpp"

struct x509_st;  // OpenSSL's X509

namespace edgefleet::pki {

inline constexpr std::size_t most_certificate_text = 64UL << 10U;

// The subject alternative names, of the three kinds that are used here.
struct AlternativeNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  std::vector<std::string> ips;  // as text

  friend bool operator==(const AlternativeNames&, const AlternativeNames&) = default;
};

// What a certificate is used for: proving who a client is, or who a server is.
enum class Use { client, server };

// Copies share what was read; nothing changes it. Any thread.
class Certificate {
 public:
  // The first certificate of the text; what stands before and after it is not read.
  static Result<Certificate> from_pem(std::string_view text);
  static Result<Certificate> from_der(std::string_view der);

  [[nodiscard]] const std::string& der() const { return der_; }
  [[nodiscard]] std::string pem() const;
  [[nodiscard]] std::string fingerprint() const;  // SHA-256 of the DER, 64 lower-case hexadecimal digits

  [[nodiscard]] const std::string& serial() const { return serial_; }  // lower-case hexadecimal, two digits a byte
  // Seconds since 1970.
  [[nodiscard]] std::int64_t not_before() const { return not_before_; }
  [[nodiscard]] std::int64_t not_after() const { return not_after_; }
  [[nodiscard]] const AlternativeNames& names() const { return names_; }
  [[nodiscard]] bool is_authority() const { return is_authority_; }
  // The subject, if it is exactly one common name, of 1 to 64 of A-Z, a-z, 0-9, space and ".:_-"; otherwise an error.
  // Programs disagree on who a subject of several parts is, and anything else could be read in two ways, in a topic or
  // in a log.
  [[nodiscard]] const Result<std::string>& common_name() const { return common_name_; }
  // An error if it is not of P-256.
  [[nodiscard]] const Result<PublicKey>& public_key() const { return public_key_; }

  // Whether `ca` issued it, for this use, within the names that it may issue for. Its dates and whether it is revoked
  // are not looked at: the caller knows which clock counts, and has the list.
  [[nodiscard]] Status verified_by(const Certificate& ca, Use use) const;

  // For functions of OpenSSL; never nullptr, and owned by this object.
  [[nodiscard]] x509_st* handle() const { return handle_.get(); }

 private:
  Certificate(std::shared_ptr<x509_st> handle, std::string der);
  Status read();

  std::shared_ptr<x509_st> handle_;
  std::string der_;
  std::string serial_;
  std::int64_t not_before_ = 0;
  std::int64_t not_after_ = 0;
  AlternativeNames names_;
  bool is_authority_ = false;
  Result<std::string> common_name_;
  Result<PublicKey> public_key_;
};

}  // namespace edgefleet::pki
