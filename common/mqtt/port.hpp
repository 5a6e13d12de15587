// What edgefleet needs of an MQTT 5 client. One adapter implements it (paho_client); facts behind the choices here
// are in docs/mqtt.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/time.hpp"

namespace edgefleet::mqtt {

struct Message {
  std::string topic;
  std::string payload;
  int qos = 1;
  bool retained = false;
  // MQTT 5 request/response; empty: not there
  std::string response_topic{};
  std::string correlation_data{};
};

struct Subscription {
  std::string filter;
  int qos = 1;
};

struct Options {
  std::string broker;  // mqtt://HOST:PORT
  std::string client_id;
  std::optional<Message> will;
  std::string username;
  std::string password;
  // Mosquitto gives a silent client up after one and a half of this, and looks for such every six seconds or so
  // (docs/reliability.md): with the grace of a young task that makes less than 20 s.
  Duration keepalive = std::chrono::seconds(8);
  Duration connect_timeout = std::chrono::seconds(3);
};

// What the client tells, from its own thread. `reason` is for people, `code` is MQTT 5's reason code (142: another
// client took our name).
struct Connected {};
struct ConnectFailed {
  std::string reason;
};
struct ConnectionLost {
  std::string reason;
  int code = 0;
};
struct Subscribed {};
struct SubscribeFailed {
  std::string reason;
};
struct Delivered {
  bool ok = true;
  std::string reason;
  int code = 0;
};  // one publish has left our hands
struct Received {
  Message message;
};
using ClientEvent =
    std::variant<Connected, ConnectFailed, ConnectionLost, Subscribed, SubscribeFailed, Delivered, Received>;

// All calls return at once; how they went is told by events. Only one thread calls.
class Client {
 public:
  // Called from the client's thread: must only put the event away, never call back.
  using OnEvent = std::function<void(ClientEvent)>;

  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&&) = delete;
  Client& operator=(Client&&) = delete;
  virtual ~Client() = default;

  virtual void connect() = 0;
  virtual void subscribe(const std::vector<Subscription>& subscriptions) = 0;
  // False: not connected (the message is gone).
  virtual bool publish(const Message& message) = 0;
  // Waits, at most `patience`, until what was published is on its way, and says goodbye: no will is published.
  virtual void disconnect(Duration patience) = 0;
};

}  // namespace edgefleet::mqtt
