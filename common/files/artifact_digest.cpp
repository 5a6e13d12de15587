#include "common/files/artifact_digest.hpp"

#include <openssl/evp.h>

#include <array>
#include <string_view>

#include "common/core/artifact_id.hpp"

namespace edgefleet {

ArtifactDigest::ArtifactDigest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
}

void ArtifactDigest::add(const char* data, std::size_t bytes) { EVP_DigestUpdate(context_.get(), data, bytes); }

std::string ArtifactDigest::id() {
  constexpr std::string_view hex = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context_.get(), sum.data(), &length);
  std::string id(artifact_prefix);
  for (std::size_t i = 0; i < length; ++i) {
    id += hex[sum.at(i) >> 4U];
    id += hex[sum.at(i) & 15U];
  }
  return id;
}

}  // namespace edgefleet
