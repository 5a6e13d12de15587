// Computes the id of an artifact incrementally while its content is copied.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

struct evp_md_ctx_st;  // OpenSSL's

namespace edgefleet {

class ArtifactDigest {
 public:
  ArtifactDigest();
  void add(const char* data, std::size_t bytes);
  std::string id();  // of all bytes added; add() must not be called afterwards

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace edgefleet
