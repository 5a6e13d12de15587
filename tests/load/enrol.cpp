// edgefleet-load-enrol: makes thousands of machines join a fleet, each as `edgefleet-agent join` does: with a key of
// its own, by a join token, and with an identity on the disk at the end. Prints how many have joined every second, and
// at the end, one JSON object per line.
#include <CLI/CLI.hpp>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <iostream>
#include <mutex>
#include <thread>

#include "common/protocol/json.hpp"
#include "common/runtime/signals.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/identity/joining.hpp"

using namespace edgefleet;

namespace {

class Enrolling {
 public:
  Enrolling(join::Token token, std::string folder, std::string prefix, std::size_t agents)
      : token_(std::move(token)), folder_(std::move(folder)), prefix_(std::move(prefix)), agents_(agents) {}

  // Of one thread, until all have joined, one has failed, or `stop`.
  void work(const std::stop_token& stop) {
    while (!stop.stop_requested() && !failed_) {
      const std::size_t number = ++begun_;
      if (number > agents_) return;
      const std::string name = prefix_ + "-" + std::to_string(number);
      agent::JoinOptions options;
      options.work = folder_ + "/" + name;
      options.machine = {name, true, "machine" + std::to_string(number)};
      const auto joined = agent::join_with_token(token_, options, [](const std::string&) {}, stop);
      if (!joined) return fail(name + ": " + joined.error().message);
      ++joined_;
    }
  }

  [[nodiscard]] std::size_t joined() const { return joined_; }
  [[nodiscard]] std::string failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  void fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (!failed_.exchange(true)) failure_ = why;
  }

  const join::Token token_;
  const std::string folder_;
  const std::string prefix_;
  const std::size_t agents_;
  std::atomic<std::size_t> begun_ = 0;
  std::atomic<std::size_t> joined_ = 0;
  std::atomic<bool> failed_ = false;
  mutable std::mutex mutex_;
  std::string failure_;
};

void report(std::size_t joined, Time began) {
  std::string line;
  {
    json::ObjectWriter object(line);
    object.unsigned_integer("joined", joined);
    object.number("seconds", std::chrono::duration<double>(monotonic_now() - began).count());
  }
  std::cout << line << std::endl;  // flushed: load.py reads it
}

Result<join::Token> read_token(std::istream& input) {
  std::string text;
  std::getline(input, text);
  return join::decode(text);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes many machines join a fleet; the join token comes on standard input.", "edgefleet-load-enrol");
  std::string folder;
  std::string prefix = "load";
  std::size_t agents = 100;
  int threads = 8;
  int seconds = 600;
  app.add_option("--folder", folder, "gets a work folder for each machine")->required();
  app.add_option("--prefix", prefix, "prefix of the names")->capture_default_str();
  app.add_option("--agents", agents, "number of machines")->capture_default_str()->check(CLI::Range(1, 100'000));
  app.add_option("--threads", threads, "machines that join at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--seconds", seconds, "it fails after this time")->capture_default_str()->check(CLI::Range(1, 86'400));
  block_signals();
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): the HTTP client wants it; it cannot fail
  auto token = read_token(std::cin);
  if (!token) {
    std::cerr << "edgefleet-load-enrol: standard input is no join token: " << token.error().message << '\n';
    return 2;
  }
  Enrolling enrolling(std::move(*token), folder, prefix, agents);
  std::stop_source stop;
  const Signals signals([&] { stop.request_stop(); });
  const Time began = monotonic_now();
  const Time until = began + std::chrono::seconds(seconds);
  std::mutex mutex;
  std::condition_variable_any ended;
  std::size_t running = static_cast<std::size_t>(threads);
  {
    std::vector<std::jthread> pool;
    for (int i = 0; i < threads; ++i) {
      pool.emplace_back([&] {
        enrolling.work(stop.get_token());
        const std::lock_guard lock(mutex);
        --running;
        ended.notify_all();
      });
    }
    std::unique_lock lock(mutex);
    while (running > 0) {
      ended.wait_for(lock, std::chrono::seconds(1), [&] { return running == 0; });
      report(enrolling.joined(), began);
      if (monotonic_now() >= until) stop.request_stop();
    }
  }
  if (enrolling.joined() == agents) return 0;
  const std::string why = enrolling.failure();
  std::cerr << "edgefleet-load-enrol: " << enrolling.joined() << " of " << agents << " machines have joined; "
            << (why.empty() ? "stopped" : why) << '\n';
  return 1;
}
