#include "common/files/text_digest.hpp"

#include "common/core/artifact_id.hpp"
#include "common/files/artifact_digest.hpp"

namespace edgefleet {

std::string sha256(std::string_view text) {
  ArtifactDigest digest;
  digest.add(text.data(), text.size());
  return digest.id().substr(artifact_prefix.size());
}

std::string text_digest(std::string_view text) { return sha256(text).substr(0, 32); }

}  // namespace edgefleet
