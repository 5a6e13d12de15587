#include "edge-agent/shell/coordinator_watch.hpp"

#include <utility>

#include "common/core/backoff.hpp"
#include "common/http/problem.hpp"
#include "common/http/url.hpp"
#include "common/protocol/fields.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::agent {
namespace {

// None: a coordinator answers there.
std::optional<Error> look(http::Client& client, Duration timeout, const std::stop_token& stop) {
  http::Options options;
  options.timeout = timeout;
  options.stop = stop;
  const auto answer = client.get("/health", options);
  if (!answer) return answer.error();
  auto fields = json::Fields::untrusted(answer->body);
  if (answer->ok() && fields.string("status")) return std::nullopt;
  return Error{"the server at " + client.base_url() + " is not an edgefleet coordinator (HTTP status " +
                   std::to_string(answer->status) + "); check --coordinator",
               ErrorKind::unavailable};
}

}  // namespace

http::Peer coordinator_peer(const std::string& url) {
  return {"the coordinator's HTTP API",
          http::is_loopback(url) ? "if the coordinator runs on another machine, set --coordinator to "
                                   "http://THAT-MACHINE:7001"
                                 : "is edgefleet-coordinator running there, with a --listen that other machines can "
                                   "reach?"};
}

void CoordinatorWatch::start(OnSeen on_seen) {
  on_seen_ = std::move(on_seen);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void CoordinatorWatch::stop() { thread_ = {}; }

void CoordinatorWatch::look_soon() {
  const std::lock_guard lock(mutex_);
  if (failing_since_) return;
  look_now_ = true;
  rings_.notify_all();
}

void CoordinatorWatch::coordinator_is(bool online) {
  const std::lock_guard lock(mutex_);
  if (online == online_since_.has_value()) return;
  online_since_ = online ? std::optional(monotonic_now()) : std::nullopt;
  look_now_ = look_now_ || (online && failing_since_);
  rings_.notify_all();
}

bool CoordinatorWatch::hopeless() const {
  const std::lock_guard lock(mutex_);
  const Time now = monotonic_now();
  if (!online_since_ || !failing_since_ || now - *online_since_ < times_.settled) return false;
  return !reached_ || now - *failing_since_ >= times_.outage;
}

bool CoordinatorWatch::wrong_address(const std::stop_token& stop) {
  transfer_failed();
  std::unique_lock lock(mutex_);
  const auto right = [this] { return reached_ || !online_since_; };  // or it is not known yet
  rings_.wait_for(lock, stop, times_.timeout, [&] { return right() || failing_since_; });
  if (right()) return false;
  rings_.wait_for(lock, stop, *online_since_ + times_.settled - monotonic_now(), right);
  return !reached_ && online_since_ && failing_since_ && !stop.stop_requested();
}

void CoordinatorWatch::run(const std::stop_token& stop) {
  std::optional<http::Client> client;  // made at the first look: it loads libcurl
  for (wait(stop); !stop.stop_requested(); wait(stop)) {
    if (!client) client.emplace(url_, coordinator_peer(url_), credentials_);
    const auto failure = look(*client, times_.timeout, stop);
    if (stop.stop_requested()) return;
    note(failure);
  }
}

void CoordinatorWatch::note(const std::optional<Error>& failure) {
  {
    const std::lock_guard lock(mutex_);
    const Time now = monotonic_now();
    if (!failure) {
      reached_ = true;
      failures_ = 0;
      failing_since_.reset();
    } else {
      ++failures_;
      if (!failing_since_) failing_since_ = now;
      if (reached_ && now - *failing_since_ < times_.outage) return;  // it may be a restart
    }
    rings_.notify_all();
  }
  on_seen_(failure ? failure->message : std::string());
}

void CoordinatorWatch::wait(const std::stop_token& stop) {
  const Backoff backoff{times_.first_pause, times_.longest_pause};
  std::unique_lock lock(mutex_);
  const Duration pause = failures_ > 0 ? backoff.ceiling(failures_) : times_.between;
  rings_.wait_for(lock, stop, pause, [this] { return look_now_; });
  look_now_ = false;
}

}  // namespace edgefleet::agent
