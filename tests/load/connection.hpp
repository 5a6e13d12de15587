// One agent's connection to the broker, over libmosquitto: it leaves the waiting to its owner, so that one thread
// serves thousands. (Paho C has one receiving thread for all clients of a process, which goes through lists of all of
// them.)
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/mqtt/port.hpp"

struct mosquitto;

namespace edgefleet::load {

// Once before the first connection, and after the last.
class Library {
 public:
  Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  Library(Library&&) = delete;
  Library& operator=(Library&&) = delete;
  ~Library();
};

class Connection final : public mqtt::Client {
 public:
  // Events come within calls of this class: whoever hears them must only put them away.
  Connection(const mqtt::Options& options, std::string host, int port, OnEvent on_event);

  void connect() override;
  void subscribe(const std::vector<mqtt::Subscription>& subscriptions) override;
  bool publish(const mqtt::Message& message) override;
  void disconnect(Duration patience) override;

  // ---- for the owner's epoll
  [[nodiscard]] int socket() const;  // -1: none
  [[nodiscard]] bool wants_write() const;
  [[nodiscard]] std::uint64_t connects() const { return connects_; }  // each gives another socket
  void readable();
  void writable();
  void care();  // every second or two: the keepalive

 private:
  struct Callbacks;
  struct Free {
    void operator()(mosquitto* client) const;
  };
  void tell(mqtt::ClientEvent event) { on_event_(std::move(event)); }

  OnEvent on_event_;
  std::string host_;
  int port_;
  int keepalive_s_;
  std::uint64_t connects_ = 0;
  std::unique_ptr<mosquitto, Free> client_;
};

}  // namespace edgefleet::load
