#include "common/mqtt/tls.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "common/core/error_text.hpp"

namespace edgefleet::mqtt {

Status check_tls(const Address& broker, const TlsFiles& files) {
  const std::array<std::pair<const char*, const std::string*>, 3> all = {
      {{"--broker-ca", &files.ca}, {"--broker-certificate", &files.certificate}, {"--broker-key", &files.key}}};
  for (const auto& [option, path] : all) {
    if (path->empty()) continue;
    if (!broker.tls) return invalid(std::string(option) + " is for TLS: write --broker mqtts://HOST:PORT");
    if (::access(path->c_str(), R_OK) != 0) {
      return invalid(std::string(option) + " " + *path + ": " + error_text(errno));
    }
  }
  if (files.certificate.empty() != files.key.empty()) {
    return invalid("--broker-certificate and --broker-key belong together: give both, or none");
  }
  return success();
}

}  // namespace edgefleet::mqtt
