#include "cli/commands/poller.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "cli/core/task_view.hpp"
#include "cli/core/times.hpp"
#include "common/http/problem.hpp"
#include "common/http/url.hpp"
#include "common/protocol/problem.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {
namespace {

using std::chrono::seconds;

constexpr Duration longest_outage = std::chrono::minutes(5);
constexpr Duration first_pause = std::chrono::milliseconds(250);
constexpr Duration longest_pause = seconds(5);
// Applies also if a coordinator answers at once and does not hold the call.
constexpr Duration least_between = std::chrono::milliseconds(250);
// Short at first, so that the reason why a task waits is shown soon.
constexpr std::array<seconds, 5> holds = {seconds(1), seconds(2), seconds(5), seconds(10), seconds(30)};

bool temporary(const Result<http::Response>& answer) {
  if (!answer) return answer.error().kind == ErrorKind::unavailable;
  const auto kind = protocol::kind_of_status(answer->status);
  return !answer->ok() && (kind == ErrorKind::unavailable || kind == ErrorKind::busy);
}

}  // namespace

bool pause(const std::stop_token& stop, Duration duration) {
  std::mutex mutex;
  std::condition_variable_any condition;
  std::unique_lock lock(mutex);
  condition.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

Poller::Poller(Session& session, std::stop_token stop, std::optional<Duration> limit)
    : session_(session), stop_(std::move(stop)) {
  if (limit) limit_ = monotonic_now() + *limit;
}

seconds Poller::hold(seconds most) const {
  if (!limit_) return most;
  const auto left = std::chrono::ceil<seconds>(*limit_ - monotonic_now());
  return std::clamp(left, seconds(1), most);
}

bool Poller::give_up(Time now) const { return over() || now - *unreachable_since_ >= longest_outage; }

Result<http::Response> Poller::ask(const std::string& path, seconds hold) {
  const auto due = last_asked_ + least_between;
  if (const auto now = monotonic_now(); last_asked_ != Time{} && now < due && hold > seconds(0))
    pause(stop_, due - now);
  last_asked_ = monotonic_now();
  http::Options options;
  options.stop = stop_;
  options.timeout = hold + seconds(15);
  const auto held = hold > seconds(0) ? std::to_string(hold.count()) : std::string();
  return session_.client().get(http::with_query(path, {{"wait", held}}), options);
}

Result<std::string> Poller::get(const std::string& path, seconds hold) {
  for (;;) {
    auto answer = ask(path, hold);
    if (stop_.stop_requested()) return Error{"interrupted", ErrorKind::unavailable};
    if (!temporary(answer)) {
      if (unreachable_since_) session_.note("the coordinator is reachable again");
      unreachable_since_.reset();
      if (!answer) return answer.error();
      if (!answer->ok()) return session_.error_of(*answer);
      return std::move(answer->body);
    }
    const auto error = http::expect_success(std::move(answer)).error();
    const auto now = monotonic_now();
    if (!unreachable_since_) {
      session_.note(sentence(printable(error.message)) + " Retrying for " + show_duration(longest_outage) + ".");
      unreachable_since_ = now;
      pause_ = first_pause;
    }
    if (give_up(now) || !pause(stop_, pause_)) return error;
    pause_ = std::min(pause_ * 2, longest_pause);
  }
}

namespace {

void note_interrupted(Session& session, const std::string& id) {
  session.note("\nThe task continues. To look at it: " + session.hint("task " + id) +
               "; to cancel it: " + session.hint("cancel " + id));
}

Exit note_unfinished(Session& session, const std::string& id, const Document& task) {
  session.note("still " + task_status(task) +
               ". The task continues; to wait again: " + session.hint("task " + id + " --wait"));
  return Exit::unfinished;
}

}  // namespace

Waited wait_for_task(Session& session, const std::string& id, const std::optional<Duration>& limit) {
  const Interrupt interrupt;
  Poller poller(session, interrupt.token(), limit);
  std::string last_status;
  for (std::size_t i = 0;; ++i) {
    const auto body = poller.get("/api/v1/tasks/" + id, poller.hold(holds[std::min(i, holds.size() - 1)]));
    if (interrupt.happened()) {
      note_interrupted(session, id);
      return {interrupt.exit(), {}};
    }
    if (!body) return {session.fail(body.error()), {}};
    const auto task = read_answer(*body);
    if (!task) return {session.fail(task.error()), {}};
    if (ended_state(text_of(*task, "state"))) return {Exit::ok, *body};
    if (poller.over()) return {note_unfinished(session, id, *task), *body};
    if (const auto status = task_status(*task); status != last_status) session.note(last_status = status);
  }
}

Exit exit_of(const Document& task) { return text_of(task, "state") == "succeeded" ? Exit::ok : Exit::task_failed; }

}  // namespace edgefleet::cli
