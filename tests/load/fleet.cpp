#include "tests/load/fleet.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <system_error>

#include "common/system/clock.hpp"

namespace edgefleet::load {
namespace {

using namespace std::chrono_literals;

// Connects that the broker has not answered yet: fewer than its backlog (100), because TCP retries a connect beyond the
// backlog only after a second.
constexpr std::size_t most_connecting = 64;
constexpr Duration report_interval = 1s;
constexpr Duration longest_wait = 100ms;

}  // namespace

Fleet::Fleet(const Setting& setting, const std::vector<Who>& agents, std::uint64_t seed)
    : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  std::mt19937_64 seeds(seed);
  for (const Who& one : agents) {
    agents_.push_back(std::make_unique<SimulatedAgent>(setting, one.name, one.tls, seeds(), counters_));
    members_.emplace_back(*agents_.back());
  }
}

Fleet::~Fleet() { close(epoll_); }

void Fleet::run(const std::atomic<bool>& stop, const std::function<void()>& report) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    members_[i].agent.start(monotonic_now());
    turn(i, monotonic_now());
  }
  Time next_report = monotonic_now() + report_interval;
  while (!stop) {
    connect_more();
    Time until = std::min(next_report, monotonic_now() + longest_wait);
    if (!wakes_.empty()) until = std::min(until, wakes_.begin()->first);
    wait(until);
    for (Time now = monotonic_now(); !wakes_.empty() && wakes_.begin()->first <= now; now = monotonic_now()) {
      const auto [due, index] = *wakes_.begin();
      lag_ = std::max(lag_, now - due);
      turn(index, now);
    }
    if (monotonic_now() < next_report) continue;
    next_report += report_interval;
    report();
  }
}

// As fast as the broker answers: a blocked connect() would delay all others, which share this thread.
void Fleet::connect_more() {
  while (!waiting_.empty() && connecting_ < most_connecting) {
    const std::size_t index = waiting_.front();
    waiting_.pop_front();
    members_[index].waiting = false;
    members_[index].agent.connect();
    turn(index, monotonic_now());
  }
}

void Fleet::wait(Time until) {
  const auto rest = std::max<std::int64_t>(0, (until - monotonic_now()).count());
  const timespec patience{rest / 1'000'000'000, rest % 1'000'000'000};
  std::array<epoll_event, 256> events{};
  const int count = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &patience, nullptr);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events.at(static_cast<std::size_t>(i));
    handle(event.data.u64, event.events);
  }
}

void Fleet::handle(std::size_t index, std::uint32_t events) {
  Connection& connection = members_[index].agent.connection();
  if ((events & EPOLLOUT) != 0) connection.writable();
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0) connection.readable();
  turn(index, monotonic_now());
}

void Fleet::turn(std::size_t index, Time now) {
  Member& member = members_[index];
  member.agent.take_turn(now);
  watch(index);
  if (member.connecting != member.agent.connecting()) {
    member.connecting = !member.connecting;
    connecting_ += member.connecting ? 1 : std::size_t(-1);
  }
  if (member.agent.needs_connection() && !std::exchange(member.waiting, true)) waiting_.push_back(index);
  wakes_.erase({member.wake, index});
  member.wake = member.agent.wake_at();
  wakes_.emplace(member.wake, index);
}

// A closed socket leaves the epoll by itself, and its number may soon be reused.
void Fleet::watch(std::size_t index) {
  Member& member = members_[index];
  const Connection& connection = member.agent.connection();
  if (connection.socket() < 0) return;
  const bool fresh = member.watched != connection.connects();
  if (!fresh && member.for_writing == connection.wants_write()) return;
  member.watched = connection.connects();
  member.for_writing = connection.wants_write();
  epoll_event event{};
  event.events = EPOLLIN | (member.for_writing ? EPOLLOUT : 0U);
  event.data.u64 = index;
  if (epoll_ctl(epoll_, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, connection.socket(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
}

}  // namespace edgefleet::load
