#include "edge-agent/identity/renewal.hpp"

#include <condition_variable>
#include <mutex>

#include "common/files/durable_write.hpp"
#include "common/http/client.hpp"
#include "common/http/problem.hpp"
#include "common/pki/request.hpp"
#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::agent {
namespace {

constexpr Duration between_looks = std::chrono::hours(1);
constexpr std::int64_t month = 30LL * 86'400;

std::int64_t seconds_now() { return wall_now().unix_ms / 1000; }

}  // namespace

bool renewal_due(std::int64_t certificate_end, std::int64_t now) {
  return now >= certificate_end - certificate_life / 3;
}

bool ends_soon(std::int64_t certificate_end, std::int64_t now) { return now >= certificate_end - month; }

Result<std::int64_t> renew(const std::string& work, const Identity& identity, const std::stop_token& stop) {
  const IdentityFiles files(work);
  const auto key = key_for_join(work);  // the one that is there
  if (!key) return key.error();
  const auto request = pki::make_request(*key, identity.name);
  if (!request) return request.error();
  http::Client client(identity.coordinator, {"the coordinator's port for agents", "is edgefleet-coordinator running?"},
                      {.ca = files.ca(), .certificate = files.certificate(), .key = files.key()});
  http::Options options;
  options.stop = stop;
  const auto answer =
      http::expect_success(client.post(std::string(join::renew_path), join::encode(join::Renewal{*request}), options));
  if (!answer) return answer.error();
  const auto joined = join::decode_joined(answer->body);
  if (!joined) return joined.error().context("the coordinator's answer");
  if (auto kept = keep_renewed(work, *joined); !kept) return kept.error();
  return pki::Certificate::from_pem(joined->certificate)->not_after();
}

void keep_renewing(const std::stop_token& stop, const std::string& work, Identity identity) {
  std::mutex mutex;
  std::condition_variable_any rings;
  std::unique_lock lock(mutex);
  do {
    if (!renewal_due(identity.certificate_end, seconds_now())) continue;
    const auto end = renew(work, identity, stop);
    if (end) {
      identity.certificate_end = *end;
      log::info("the certificate of this agent was renewed; it is used at the next connection");
    } else if (!stop.stop_requested()) {
      const bool soon = ends_soon(identity.certificate_end, seconds_now());
      log::write(soon ? log::Level::warning : log::Level::info, "the certificate of this agent cannot be renewed yet" +
                                                                    std::string(soon ? ", and ends soon" : "") + ": " +
                                                                    end.error().message + "; trying again in an hour");
    }
  } while (!rings.wait_for(lock, stop, between_looks, [&] { return stop.stop_requested(); }));
}

}  // namespace edgefleet::agent
