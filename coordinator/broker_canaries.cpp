#include "coordinator/broker_canaries.hpp"

#include <unistd.h>

#include "common/files/private_file.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/http/host.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::int64_t brief_seconds = 60;

mqtt::Options at(const Setup& setup, const std::string& directory, int port) {
  mqtt::Options options;
  options.broker = "mqtts://" + in_url(broker_for_coordinator(setup)) + ":" + std::to_string(port);
  options.tls.ca = ca_file(directory);
  return options;
}

mqtt::Options with_certificate(const ClosedFleet& closed, const std::string& name) {
  const auto files = certificate_files(closed.directory(), name);
  mqtt::Options options = at_agents_listener(closed.setup(), closed.directory());
  options.client_id = std::string(canary_identity);
  options.tls.certificate = files.certificate;
  options.tls.key = files.key;
  return options;
}

mqtt::Options with_password(const ClosedFleet& closed, const std::string& password) {
  mqtt::Options options = at_people_listener(closed.setup(), closed.directory());
  options.client_id = options.username = std::string(canary_identity);
  options.password = password;
  return options;
}

}  // namespace

mqtt::Options at_agents_listener(const Setup& setup, const std::string& directory) {
  return at(setup, directory, setup.broker_agents_port);
}

mqtt::Options at_people_listener(const Setup& setup, const std::string& directory) {
  return at(setup, directory, setup.broker_people_port);
}

Result<std::vector<Canary>> broker_canaries(const ClosedFleet& closed) {
  const auto access = canary_access(closed.directory());
  if (!access) return access.error();
  const CanaryTopics topics = canary_topics(closed.setup().fleet);
  return std::vector<Canary>{
      {"an agent's certificate may write another agent's topics", with_certificate(closed, "canary"), topics.of_agent},
      {"an access without rights may write the coordinator's topics", with_password(closed, access->key),
       topics.of_person},
      {"a revoked certificate may connect", with_certificate(closed, "revoked"), {}},
      {"a wrong password may connect", with_password(closed, make_secret(access_prefix).text), {}},
  };
}

Result<BriefCertificate> BriefCertificate::make(const ClosedFleet& closed, const std::string& agent) {
  const auto key = pki::Key::make();
  if (!key) return key.error();
  const auto pem = key->pem();
  if (!pem) return pem.error();
  const auto end = wall_now().unix_ms / 1000 + brief_seconds;
  const auto certificate = closed.authority().issue_agent(key->public_key(), *AgentName::parse(agent), end);
  if (!certificate) return certificate.error();
  BriefCertificate brief(brief_certificate(closed.directory(), make_secret("").id));
  if (auto written = write_private_file(brief.path_ + ".key", *pem); !written) return written.error();
  if (auto written = write_private_file(brief.path_ + ".crt", certificate->pem()); !written) return written.error();
  return brief;
}

BriefCertificate::~BriefCertificate() {
  if (path_.empty()) return;
  ::unlink((path_ + ".crt").c_str());
  ::unlink((path_ + ".key").c_str());
}

void BriefCertificate::use(mqtt::Options& options) const {
  options.tls.certificate = path_ + ".crt";
  options.tls.key = path_ + ".key";
}

}  // namespace edgefleet::coordinator
