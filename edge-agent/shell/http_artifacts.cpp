#include "edge-agent/shell/http_artifacts.hpp"

#include <condition_variable>
#include <mutex>

#include "common/core/backoff.hpp"
#include "common/http/problem.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::agent {
namespace {

void pause(Duration length, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any rings;
  std::unique_lock lock(mutex);
  rings.wait_for(lock, stop, length, [] { return false; });
}

template <typename Call>
auto until_answered(const std::stop_token& stop, Call call) -> decltype(call()) {
  const Backoff backoff{std::chrono::milliseconds(250), std::chrono::seconds(10)};
  for (int failures = 1;; ++failures) {
    auto response = call();
    if (response || !worth_another_try(response.error().kind) || stop.stop_requested()) return response;
    pause(backoff.ceiling(failures), stop);
    if (stop.stop_requested()) return Error{"stopped: " + response.error().message, ErrorKind::unavailable};
  }
}

}  // namespace

Status HttpArtifacts::fetch(const std::string& artifact, const std::string& to_path, std::stop_token stop) {
  if (coordinator_.empty()) return Error{"this agent has no --coordinator to fetch artifacts from", ErrorKind::invalid};
  auto response = until_answered(stop, [&] {
    return http::expect_success(client_.get_file("/api/v1/artifacts/" + artifact, to_path, http::file_options(stop)));
  });
  if (!response) return response.error().context("fetching artifact " + artifact);
  return success();
}

Result<std::string> HttpArtifacts::store(const std::string& path, std::stop_token stop) {
  return until_answered(stop, [&] { return store_once(path, stop); });
}

Result<std::string> HttpArtifacts::store_once(const std::string& path, std::stop_token stop) {
  if (coordinator_.empty()) return Error{"this agent has no --coordinator to store artifacts at", ErrorKind::invalid};
  auto response = http::expect_success(client_.put_file("/api/v1/artifacts", path, http::file_options(stop)));
  if (!response) return response.error().context("storing an artifact");
  auto fields = json::Fields::untrusted(response->body);
  fields.require("id");
  auto id = fields.string("id");
  if (!fields.ok()) return fields.error().context("the coordinator's answer to an artifact");
  return *id;
}

}  // namespace edgefleet::agent
