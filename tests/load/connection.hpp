// The connection of one agent to the broker, with libmosquitto: its owner waits for it, so that one thread serves
// thousands. (Paho C has one receiving thread for all clients of a process, which iterates over lists of all clients.)
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/mqtt/port.hpp"

struct mosquitto;

namespace edgefleet::load {

// Initializes libmosquitto; lives longer than all connections.
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
  // Events arrive during calls of this class: `on_event` must only store them.
  Connection(const mqtt::Options& options, std::string host, int port, OnEvent on_event);

  void connect() override;
  void subscribe(const std::vector<mqtt::Subscription>& subscriptions) override;
  bool publish(const mqtt::Message& message) override;
  void disconnect(Duration patience) override;

  // ---- for the owner's epoll
  [[nodiscard]] int socket() const;  // -1: none
  [[nodiscard]] bool wants_write() const;
  [[nodiscard]] std::uint64_t connects() const { return connects_; }  // each has a new socket
  void readable();
  void writable();
  void care();  // to be called every second or two: the keepalive

 private:
  struct Callbacks;
  struct Free {
    void operator()(mosquitto* client) const;
  };
  void use_tls(const mqtt::TlsFiles& files);
  void emit(mqtt::ClientEvent event) { on_event_(std::move(event)); }

  OnEvent on_event_;
  std::string host_;
  int port_;
  int keepalive_s_;
  std::uint64_t connects_ = 0;
  std::unique_ptr<mosquitto, Free> client_;
};

}  // namespace edgefleet::load
