// Artifacts at the coordinator, over its HTTP API.
#pragma once

#include <memory>
#include <string>

#include "common/http/client.hpp"
#include "common/runtime/log.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/shell/coordinator_watch.hpp"

namespace edgefleet::agent {

// Waits for a coordinator that is unavailable or restarts: finished work is not discarded because of that.
inline bool worth_another_try(ErrorKind kind) { return kind == ErrorKind::unavailable || kind == ErrorKind::busy; }
// Storing also waits for a full disk of the coordinator or a full quota (fetching is not affected by them): another
// attempt would repeat the work and meet the same problem.
inline bool worth_storing_later(ErrorKind kind) { return worth_another_try(kind) || kind == ErrorKind::full; }

class HttpArtifacts final : public ArtifactStore {
 public:
  // `watch` ends a wait that is of no use; null: transfers wait until they are stopped.
  explicit HttpArtifacts(std::string coordinator, std::shared_ptr<CoordinatorWatch> watch = {},
                         http::Credentials credentials = {})
      : coordinator_(std::move(coordinator)),
        client_(coordinator_, coordinator_peer(coordinator_), std::move(credentials)),
        watch_(std::move(watch)) {}

  Status fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
               std::stop_token stop) override;
  Result<std::string> store(const std::string& path, std::stop_token stop) override;
  // Into memory; what was fetched is what its id names.
  Result<std::string> fetch_text(const TextFile& file, const std::stop_token& stop);
  // One attempt; worth_storing_later() tells from an error whether a later one may succeed.
  Result<std::string> store_once(const std::string& path, const std::stop_token& stop);
  // After a failure: the coordinator is online, and has never been reached at this address. May wait for seconds.
  [[nodiscard]] bool wrong_address(const std::stop_token& stop) const { return watch_ && watch_->wrong_address(stop); }

 private:
  Status fetch_once(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
                    const std::stop_token& stop);
  Result<std::string> fetch_text_once(const TextFile& file, const std::stop_token& stop);

  template <typename Call>
  auto until_answered(const std::stop_token& stop, bool (*worth)(ErrorKind), Call call) -> decltype(call());

  log::Complaints complaints_;
  std::string coordinator_;
  http::Client client_;
  std::shared_ptr<CoordinatorWatch> watch_;
};

}  // namespace edgefleet::agent
