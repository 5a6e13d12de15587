#include "edge-agent/identity/identity.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/core/ids.hpp"
#include "common/files/durable_write.hpp"
#include "common/files/folder.hpp"
#include "common/files/private_file.hpp"
#include "common/http/url.hpp"
#include "common/mqtt/address.hpp"

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
  if (!file) return disk_error(path + " cannot be read");
  std::string text(longest_file + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > longest_file) return invalid(path + " is too large");
  return text;
}

Error unusable(const std::string& work, const std::string& why) {
  return invalid("the identity in " + IdentityFiles(work).folder + " cannot be used: " + why +
                 "; join again with `edgefleet-agent join --again --work " + work + "`");
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

// It stands in the log, in one line.
bool is_address(const std::string& text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 127; });
}

struct Parts {
  pki::Certificate certificate;
  pki::Certificate ca;
};

Result<Parts> parts_of(const join::Joined& joined) {
  if (!AgentName::parse(joined.name)) return invalid("the name of the agent is not valid");
  if (!FleetName::parse(joined.fleet)) return invalid("the name of the fleet is not valid");
  if (!is_address(joined.broker) || !mqtt::parse_address(joined.broker) || !joined.broker.starts_with("mqtts://")) {
    return invalid("the broker's address is not of the form mqtts://HOST:PORT");
  }
  if (!is_address(joined.coordinator) || !http::is_server(joined.coordinator) ||
      !joined.coordinator.starts_with("https://")) {
    return invalid("the coordinator's address is not of the form https://HOST:PORT");
  }
  auto certificate = pki::Certificate::from_pem(joined.certificate);
  if (!certificate) return certificate.error().context("the certificate");
  auto ca = pki::Certificate::from_pem(joined.ca);
  if (!ca) return ca.error().context("the CA");
  return Parts{std::move(*certificate), std::move(*ca)};
}

Identity identity_of(const join::Joined& joined, const Parts& parts) {
  return {joined.name,
          joined.fleet,
          joined.broker,
          joined.coordinator,
          parts.ca.fingerprint(),
          parts.certificate.not_after(),
          joined.certificate_life,
          joined.ephemeral};
}

Status write_key(const std::string& work, const pki::Key& key) {
  const auto text = key.pem();
  return text ? write_private_file(IdentityFiles(work).key(), *text) : Status(text.error());
}

Status make_folders(const std::string& work) {
  for (const auto& folder : {work, IdentityFiles(work).folder}) {
    if (auto made = make_private_folder(folder, "--work"); !made) return made;
  }
  std::error_code failure;
  fs::permissions(IdentityFiles(work).folder, fs::perms::owner_all, failure);  // whatever the umask is
  return failure ? Status(disk_error(IdentityFiles(work).folder + " cannot be used", failure)) : success();
}

Status remove_all(const std::string& folder) {
  std::error_code failure;
  fs::remove_all(folder, failure);
  return failure ? Status(disk_error(folder + " cannot be removed", failure)) : success();
}

std::string rejoin_path(const std::string& work) { return work + "/rejoin"; }

}  // namespace

Result<pki::Key> load_key(const std::string& work) {
  const IdentityFiles files(work);
  const auto text = text_of(files.key());
  if (!text) return text.error();
  auto key = pki::Key::from_pem(*text);
  return key ? std::move(key) : Result<pki::Key>(key.error().context(files.key()));
}

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
  const auto ca = text_of(files.ca());  // the file that connections are verified with
  if (!ca) return unusable(work, ca.error().message);
  joined->ca = *ca;
  const auto parts = parts_of(*joined);
  if (!parts) return unusable(work, parts.error().message);
  const auto key = load_key(work);
  if (!key) return unusable(work, key.error().message);
  if (auto good = check(parts->certificate, parts->ca, key->public_key(), joined->name); !good) {
    return unusable(work, good.error().message);
  }
  return std::optional(identity_of(*joined, *parts));
}

// A key that is torn is of no use; one that cannot be read now may be the one that a coordinator knows.
Result<pki::Key> key_for_join(const std::string& work) {
  if (auto made = make_folders(work); !made) return made.error();
  const IdentityFiles files(work);
  if (!exists(files.key())) return new_key_for_join(work);
  const auto text = text_of(files.key());
  if (!text) return text.error();
  auto key = pki::Key::from_pem(*text);
  return key ? std::move(key) : new_key_for_join(work);
}

Result<pki::Key> new_key_for_join(const std::string& work) {
  if (auto made = make_folders(work); !made) return made.error();
  auto key = pki::Key::make();
  if (!key) return key;
  if (auto written = write_key(work, *key); !written) return written.error();
  return key;
}

Result<Identity> keep_identity(const std::string& work, const pki::Key& key, const join::Joined& joined) {
  const auto parts = parts_of(joined);
  if (!parts) return parts.error();
  if (auto good = check(parts->certificate, parts->ca, key.public_key(), joined.name); !good) return good.error();
  if (auto made = make_folders(work); !made) return made.error();
  const IdentityFiles files(work);
  if (auto written = write_key(work, key); !written) return written.error();
  if (auto written = write_private_file(files.ca(), parts->ca.pem()); !written) return written.error();
  if (auto written = write_private_file(files.certificate(), parts->certificate.pem()); !written) {
    return written.error();
  }
  if (auto written = write_private_file(files.joined(), join::encode(joined)); !written) return written.error();
  return identity_of(joined, *parts);
}

Status keep_renewed(const std::string& work, const join::Joined& joined) {
  const IdentityFiles files(work);
  const auto present = load_identity(work);
  if (!present) return present.error();
  if (!*present || (*present)->name != joined.name) return invalid("the new certificate is not this agent's");
  const auto key = load_key(work);
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

// First what makes the others count.
Status forget_identity(const std::string& work) {
  if (::unlink(IdentityFiles(work).joined().c_str()) != 0 && errno != ENOENT) {
    return disk_error(IdentityFiles(work).joined() + " cannot be removed");
  }
  return remove_all(IdentityFiles(work).folder);
}

Result<std::string> rejoin_folder(const std::string& work) {
  auto folder = rejoin_path(work);
  if (auto made = make_private_folder(folder, "--work"); !made) return made.error();
  return folder;
}

// A complete identity stands in one of the two places at any time; `old` is removed last, and shows that it was done.
Result<bool> take_rejoined(const std::string& work) {
  const std::string rejoin = rejoin_path(work), old = rejoin + "/old";
  if (auto safe = check_private_folder(rejoin, "--work"); !safe) return safe.error();
  const IdentityFiles present(work), fresh(rejoin);
  const bool complete = exists(fresh.joined()), done = !complete && exists(old);
  if (!complete && !done) return false;
  if (complete && exists(present.folder)) {
    if (auto removed = remove_all(old); !removed) return removed.error();
    if (auto moved = rename_durably(present.folder, old); !moved) return moved.error();
  }
  if (complete) {
    if (auto moved = rename_durably(fresh.folder, present.folder); !moved) return moved.error();
  }
  if (auto removed = remove_all(rejoin); !removed) return removed.error();
  return true;
}

}  // namespace edgefleet::agent
