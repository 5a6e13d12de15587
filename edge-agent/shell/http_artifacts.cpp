#include "edge-agent/shell/http_artifacts.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/core/backoff.hpp"
#include "common/files/artifact_digest.hpp"
#include "common/http/part_file.hpp"
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

}  // namespace

// A run that is stopped while it waits must report the reason for the wait: the last failure is kept, and each is
// logged.
template <typename Call>
auto HttpArtifacts::until_answered(const std::stop_token& stop, bool (*worth)(ErrorKind), Call call)
    -> decltype(call()) {
  const Backoff backoff{std::chrono::milliseconds(250), std::chrono::seconds(10)};
  std::optional<Error> last;
  for (int failures = 1;; ++failures) {
    auto response = call();
    if (response || !worth(response.error().kind)) return response;
    if (!stop.stop_requested()) {
      last = response.error();
      if (watch_) watch_->transfer_failed();
      if (watch_ && watch_->hopeless()) return *last;
      complaints_.complain("transfer", last->message + "; trying again");
      pause(backoff.ceiling(failures), stop);
    }
    if (stop.stop_requested()) return last ? *last : response.error();
  }
}

namespace {

Error no_coordinator() { return {"this agent has no --coordinator, where the files of tasks are", ErrorKind::invalid}; }

}  // namespace

Status HttpArtifacts::fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
                            std::stop_token stop) {
  if (coordinator_.empty()) return no_coordinator();
  return until_answered(stop, worth_another_try, [&] { return fetch_once(artifact, to_path, most_bytes, stop); });
}

Status HttpArtifacts::fetch_once(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
                                 const std::stop_token& stop) {
  auto part = http::PartFile::create(to_path);
  if (!part) return part.error();
  std::uint64_t bytes = 0;
  const auto take = [&](std::string_view piece) -> Status {
    bytes += piece.size();
    if (bytes > most_bytes)
      return Error{"it is larger than " + std::to_string(most_bytes) + " bytes", ErrorKind::too_large};
    return part->write(piece);
  };
  const auto response =
      http::expect_success(client_.get_stream("/api/v1/artifacts/" + artifact, take, http::file_options(stop)));
  return response ? part->commit() : Status(response.error());
}

Result<std::string> HttpArtifacts::fetch_text(const TextFile& file, const std::stop_token& stop) {
  if (coordinator_.empty()) return no_coordinator();
  return until_answered(stop, worth_another_try, [&] { return fetch_text_once(file, stop); });
}

Result<std::string> HttpArtifacts::fetch_text_once(const TextFile& file, const std::stop_token& stop) {
  std::string text;
  text.reserve(file.bytes);
  ArtifactDigest digest;
  const auto take = [&](std::string_view piece) -> Status {
    if (text.size() + piece.size() > file.bytes) return Error{"it is larger than it should be", ErrorKind::internal};
    digest.add(piece.data(), piece.size());
    text += piece;
    return success();
  };
  const auto response =
      http::expect_success(client_.get_stream("/api/v1/artifacts/" + file.artifact, take, http::file_options(stop)));
  if (!response) return response.error();
  if (digest.id() == file.artifact) return text;
  return Error{
      "what the coordinator sent is not artifact " + file.artifact + ": its copy is damaged; send the input again",
      ErrorKind::internal};
}

Result<std::string> HttpArtifacts::store(const std::string& path, std::stop_token stop) {
  return until_answered(stop, worth_storing_later, [&] { return store_once(path, stop); });
}

Result<std::string> HttpArtifacts::store_once(const std::string& path, const std::stop_token& stop) {
  if (coordinator_.empty()) return no_coordinator();
  auto response = http::expect_success(client_.put_file("/api/v1/artifacts", path, http::file_options(stop)));
  if (!response) return response.error().context("storing an artifact");
  auto fields = json::Fields::untrusted(response->body);
  fields.require("id");
  auto id = fields.string("id");
  if (!fields.ok()) return fields.error().context("the coordinator's answer to an artifact");
  return *id;
}

}  // namespace edgefleet::agent
