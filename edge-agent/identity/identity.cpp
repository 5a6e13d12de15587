#include "edge-agent/identity/identity.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/core/ids.hpp"
#include "common/files/durable_write.hpp"
#include "common/files/folder.hpp"
#include "common/files/private_file.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_file = 256UL << 10U;

bool exists(const std::string& path) {
  std::error_code unknown;
  return fs::exists(path, unknown);
}

Result<std::string> text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{path + " cannot be read"};
  std::string text(longest_file + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > longest_file) return invalid(path + " is too large");
  return text;
}

Error unusable(const std::string& work, const std::string& why) {
  return Error{"the identity in " + IdentityFiles(work).folder + " cannot be used: " + why +
                   "; join again with `edgefleet-agent join --again`",
               ErrorKind::invalid};
}

// Whether the certificate is the named agent's, for this key, and of this CA.
Status check(const pki::Certificate& certificate, const pki::Certificate& ca, const pki::PublicKey& key,
             const std::string& name) {
  if (!certificate.public_key() || *certificate.public_key() != key)
    return invalid("the certificate is of another key");
  if (auto verified = certificate.verified_by(ca, pki::Use::client); !verified) return verified;
  if (!certificate.common_name() || *certificate.common_name() != name) {
    return invalid("the certificate is not one of " + name);
  }
  return success();
}

struct Parts {
  pki::Certificate certificate;
  pki::Certificate ca;
};

Result<Parts> parts_of(const join::Joined& joined) {
  if (!AgentName::parse(joined.name)) return invalid("the name of the agent is not valid");
  if (!FleetName::parse(joined.fleet)) return invalid("the name of the fleet is not valid");
  if (!joined.broker.starts_with("mqtts://") || !joined.coordinator.starts_with("https://")) {
    return invalid("the addresses are not mqtts:// and https://");
  }
  auto certificate = pki::Certificate::from_pem(joined.certificate);
  if (!certificate) return certificate.error().context("the certificate");
  auto ca = pki::Certificate::from_pem(joined.ca);
  if (!ca) return ca.error().context("the CA");
  return Parts{std::move(*certificate), std::move(*ca)};
}

Identity identity_of(const join::Joined& joined, const pki::Certificate& certificate) {
  return {joined.name, joined.fleet, joined.broker, joined.coordinator, certificate.not_after()};
}

Result<pki::Key> load_key(const IdentityFiles& files) {
  const auto text = text_of(files.key());
  if (!text) return text.error();
  return pki::Key::from_pem(*text);
}

}  // namespace

Result<std::optional<Identity>> load_identity(const std::string& work) {
  const IdentityFiles files(work);
  if (!exists(files.joined())) return std::optional<Identity>();
  if (auto safe = check_private_folder(files.folder, "--work"); !safe) return safe.error();
  const auto text = text_of(files.joined());
  if (!text) return text.error();
  auto joined = join::decode_joined(*text);
  if (!joined) return unusable(work, joined.error().message);
  const auto certificate = text_of(files.certificate());  // it may have been renewed
  if (!certificate) return unusable(work, certificate.error().message);
  joined->certificate = *certificate;
  const auto parts = parts_of(*joined);
  if (!parts) return unusable(work, parts.error().message);
  const auto key = load_key(files);
  if (!key) return unusable(work, key.error().message);
  if (auto good = check(parts->certificate, parts->ca, key->public_key(), joined->name); !good) {
    return unusable(work, good.error().message);
  }
  return std::optional(identity_of(*joined, parts->certificate));
}

Result<pki::Key> key_for_join(const std::string& work) {
  if (auto made = make_private_folder(work, "--work"); !made) return made.error();
  const IdentityFiles files(work);
  if (auto made = make_private_folder(files.folder, "--work"); !made) return made.error();
  if (exists(files.key())) {
    if (auto key = load_key(files)) return key;
  }
  auto key = pki::Key::make();
  if (!key) return key;
  const auto text = key->pem();
  if (!text) return text.error();
  if (auto written = write_private_file(files.key(), *text); !written) return written.error();
  return key;
}

Result<Identity> keep_identity(const std::string& work, const pki::Key& key, const join::Joined& joined) {
  const auto parts = parts_of(joined);
  if (!parts) return parts.error();
  if (auto good = check(parts->certificate, parts->ca, key.public_key(), joined.name); !good) return good.error();
  const IdentityFiles files(work);
  if (auto written = write_private_file(files.ca(), parts->ca.pem()); !written) return written.error();
  if (auto written = write_private_file(files.certificate(), parts->certificate.pem()); !written) {
    return written.error();
  }
  if (auto written = write_private_file(files.joined(), join::encode(joined)); !written) return written.error();
  return identity_of(joined, parts->certificate);
}

Status keep_renewed(const std::string& work, const join::Joined& joined) {
  const IdentityFiles files(work);
  const auto present = load_identity(work);
  if (!present) return present.error();
  if (!*present || (*present)->name != joined.name) return invalid("the new certificate is not this agent's");
  const auto key = load_key(files);
  if (!key) return key.error();
  const auto ca_text = text_of(files.ca());
  if (!ca_text) return ca_text.error();
  const auto ca = pki::Certificate::from_pem(*ca_text);
  if (!ca) return ca.error();
  const auto certificate = pki::Certificate::from_pem(joined.certificate);
  if (!certificate) return certificate.error();
  if (auto good = check(*certificate, *ca, key->public_key(), joined.name); !good) return good;
  return write_private_file(files.certificate(), certificate->pem());
}

Status forget_identity(const std::string& work) {
  const IdentityFiles files(work);
  std::error_code failure;
  // First what makes the others count.
  for (const auto& path : {files.joined(), files.certificate(), files.ca(), files.key()}) {
    fs::remove(path, failure);
    if (failure) return disk_error(path + " cannot be removed", failure);
  }
  return success();
}

}  // namespace edgefleet::agent
