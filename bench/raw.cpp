// The raw ceiling: a bare Paho publisher and an echoer through the same broker, one message per task, QoS 1, 200 bytes
// each way. All other figures are compared with this one of the same run.
#include <mqtt/async_client.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>

#include "common/mqtt/nodelay.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Peer {
  mqtt::async_client client;
  mqtt::connect_options options;
  Peer(const std::string& broker, const std::string& id) : client(broker, id, buffering()) {
    options.set_mqtt_version(MQTTVERSION_5);
    options.set_clean_start(true);
    options.set_max_inflight(65535);
  }
  static mqtt::create_options buffering() {
    mqtt::create_options large(MQTTVERSION_5);
    large.set_max_buffered_messages(100'000);
    return large;
  }
  void join(const std::string& topic) {
    client.connect(options)->wait();
    client.subscribe(topic, 1)->wait();
  }
};

// Publishes the messages of the receiving thread: Paho must not be called from its callback.
class Echoer {
 public:
  explicit Echoer(const std::string& broker) : peer_(broker, "raw-echoer") {
    peer_.client.set_message_callback([this](mqtt::const_message_ptr message) {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(message));
      filled_.notify_one();
    });
    peer_.join("raw/task");
    thread_ = std::thread([this] { serve(); });
  }
  Echoer(const Echoer&) = delete;
  Echoer& operator=(const Echoer&) = delete;
  ~Echoer() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    filled_.notify_one();
    thread_.join();
    peer_.client.disconnect()->wait();
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      filled_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
      if (ending_) return;
      auto batch = std::exchange(waiting_, {});
      lock.unlock();
      for (const auto& message : batch) peer_.client.publish("raw/result", message->get_payload_str(), 1, false);
      lock.lock();
    }
  }
  Peer peer_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<mqtt::const_message_ptr> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

class Publisher {
 public:
  explicit Publisher(const std::string& broker) : peer_(broker, "raw-publisher") {
    peer_.client.set_message_callback([this](const mqtt::const_message_ptr&) {
      const std::lock_guard lock(mutex_);
      ++back_;
      arrived_.notify_one();
    });
    peer_.join("raw/result");
  }
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  ~Publisher() { peer_.client.disconnect()->wait(); }

  // Seconds for `count` tasks with at most `window` in flight.
  double run(std::size_t count, std::size_t window) {
    const std::string payload(200, 'x');
    back_ = 0;
    const auto began = Clock::now();
    std::unique_lock lock(mutex_);
    for (std::size_t sent = 0; sent < count; ++sent) {
      arrived_.wait(lock, [&] { return sent - back_ < window; });
      lock.unlock();
      peer_.client.publish("raw/task", payload, 1, false);
      lock.lock();
    }
    arrived_.wait(lock, [&] { return back_ == count; });
    return std::chrono::duration<double>(Clock::now() - began).count();
  }

 private:
  Peer peer_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::size_t back_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Raw round trips through a broker: prints JSON");
  std::string broker = "tcp://127.0.0.1:1883";
  std::size_t count = 20'000;
  std::size_t window = 512;
  app.add_option("--broker", broker, "tcp://HOST:PORT");
  app.add_option("--count", count, "round trips");
  app.add_option("--window", window, "messages in flight");
  CLI11_PARSE(app, argc, argv);
  edgefleet::mqtt::use_tcp_nodelay();
  try {
    const Echoer echoer(broker);
    Publisher publisher(broker);
    publisher.run(std::min<std::size_t>(count, 1000), window);  // warm-up
    std::vector<double> single;
    for (int i = 0; i < 500; ++i) single.push_back(publisher.run(1, 1));
    std::sort(single.begin(), single.end());
    const double seconds = publisher.run(count, window);
    std::cout << "{\"tasks_per_s\":" << static_cast<double>(count) / seconds << ",\"window\":" << window
              << ",\"round_trip_p50_ms\":" << single[250] * 1e3 << ",\"round_trip_p99_ms\":" << single[495] * 1e3
              << "}\n";
  } catch (const std::exception& failure) {
    std::cerr << "edgefleet-bench-raw: " << failure.what() << '\n';
    return 1;
  }
}
