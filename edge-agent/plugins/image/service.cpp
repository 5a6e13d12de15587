#include "edge-agent/plugins/image/service.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "common/core/error_text.hpp"

namespace edgefleet::image {

void Service::run() {
  say(hello_line(capabilities(), slots_, parameters()));
  while (!over_) {
    std::vector<pollfd> ends{{in_, POLLIN, 0}};
    std::vector<std::list<Worker>::iterator> workers;
    for (auto worker = workers_.begin(); worker != workers_.end(); ++worker) {
      ends.push_back({worker->fd(), POLLIN, 0});
      workers.push_back(worker);
    }
    if (poll(ends.data(), ends.size(), -1) < 0) {
      if (errno == EINTR) continue;
      log_("poll: " + error_text(errno));
      return;
    }
    // Workers first: a task that has just ended frees its slot for one that arrives at the same time.
    for (std::size_t i = 0; i < workers.size(); ++i) {
      if (ends[i + 1].revents != 0) read_worker(workers[i]);
    }
    if (ends[0].revents != 0) read_agent();
  }
  workers_.clear();
}

void Service::read_agent() {
  std::array<char, 64 * 1024> buffer{};
  const ssize_t got = ::read(in_, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return;
  if (got <= 0) {
    over_ = true;
    return;
  }
  lines_.feed({buffer.data(), static_cast<std::size_t>(got)}, [this](std::string_view line) { on_line(line); });
  if (lines_.take_overlong() > 0) log_("a line of more than " + std::to_string(kMostLine) + " bytes is ignored");
}

void Service::on_line(std::string_view line) {
  std::visit([this](const auto& message) { on_message(message); }, parse_message(line));
}

void Service::on_message(const Task& task) {
  const auto refuse = [&](const char* code, const std::string& why, bool retryable) {
    say(failure_line(task.key, {code, why, retryable}));
  };
  if (std::ranges::count(workers_, task.key, &Worker::key) > 0)
    return log_("task " + task.key.id + " was received twice");
  if (workers_.size() >= slots_) return refuse("busy", "all slots are in use", true);
  const auto request = parse_request(task.capability, task.input, task.scratch);
  if (!request) return refuse("bad_input", request.error().message, false);
  auto worker = Worker::start(task.key, *request, limits_);
  if (!worker) return refuse("internal", worker.error().message, true);
  workers_.push_back(*std::move(worker));
}

void Service::on_message(const Cancel& cancel) {
  const auto worker = std::ranges::find(workers_, cancel.key, &Worker::key);
  if (worker != workers_.end()) worker->cancel();  // otherwise its result has already been sent
}

void Service::on_message(const Ignored& ignored) {
  if (!ignored.reason.empty()) log_(ignored.reason + ": ignored");
}

void Service::read_worker(std::list<Worker>::iterator worker) {
  const auto pass_on = [&](const Worker::Progress& progress) {
    say(progress_line(worker->key(), progress.percent, progress.text));
  };
  if (!worker->read(pass_on)) return;
  auto outcome = worker->take_outcome();
  if (const auto* output = std::get_if<nlohmann::json>(&outcome)) {
    say(result_line(worker->key(), *output));
  } else {
    say(failure_line(worker->key(), std::get<Failure>(outcome)));
  }
  workers_.erase(worker);
}

void Service::say(const std::string& line) {
  if (!write_all(out_, line)) over_ = true;
}

}  // namespace edgefleet::image
