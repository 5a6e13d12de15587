#include "common/pki/openssl.hpp"

#include <array>

namespace edgefleet::pki {

Error Errors::because(const std::string& what, ErrorKind kind) const {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return Error{reason == nullptr ? what : what + " (" + reason + ")", kind};
}

Result<std::string> pem_block(std::string_view text, std::string_view label, std::size_t most,
                              const std::string& what) {
  if (text.size() > most) {
    return Error{what + ": its text has more than " + std::to_string(most) + " bytes", ErrorKind::too_large};
  }
  const Errors errors;
  const OwnedBio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) return errors.because(what + ": no memory to read it");
  while (true) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;  // NOLINT: OpenSSL's type
    if (PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) {
      return errors.because(what + ": its text has no whole block \"BEGIN " + std::string(label) + "\"",
                            ErrorKind::invalid);
    }
    const OwnedBlock<char> name_owner(name);
    const OwnedBlock<char> header_owner(header);
    const OwnedBlock<unsigned char> data_owner(data);
    if (label != name) {
      OPENSSL_cleanse(data, static_cast<std::size_t>(size));  // it may be a private key
      continue;
    }
    if (*header != '\0') return invalid(what + ": its text has headers, or is encrypted");
    return text_of(data, static_cast<std::size_t>(size));
  }
}

std::string pem_text(const char* label, const std::string& der) {
  const OwnedBio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio(bio.get(), label, "", bytes_of(der), static_cast<long>(der.size())) <= 0) {  // NOLINT
    return {};
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);  // NOLINT: OpenSSL's type
  return {text, static_cast<std::size_t>(size)};
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) return {};
  return hex(text_of(digest.data(), size));
}

}  // namespace edgefleet::pki
