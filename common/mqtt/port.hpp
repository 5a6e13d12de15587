// The MQTT 5 client that edgefleet needs. One adapter implements it (paho_client); docs/mqtt.md has the reasons for
// the choices here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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
  // MQTT 5 request/response; empty: absent
  std::string response_topic{};
  std::string correlation_data{};
  std::uint64_t id = 0;  // chosen by the sender, to know it again in Delivered; 0: none
};

struct Subscription {
  std::string filter;
  int qos = 1;
};

// PEM files, read at each connection: a renewed certificate needs only a reconnect.
struct TlsFiles {
  std::string ca;           // the authority that the broker's certificate must be of; empty: those of the system
  std::string certificate;  // of this client; empty: none
  std::string key;          // of the certificate
  friend bool operator==(const TlsFiles&, const TlsFiles&) = default;
};

struct Options {
  std::string broker;  // mqtt://HOST:PORT or mqtts://HOST:PORT
  TlsFiles tls{};
  std::string client_id;
  std::optional<Message> will;
  std::string username;
  std::string password;
  // Mosquitto disconnects a silent client after one and a half times this interval, and checks about every six
  // seconds (docs/reliability.md): together with the grace of a young task that is less than 20 s.
  Duration keepalive = std::chrono::seconds(8);
  Duration connect_timeout = std::chrono::seconds(3);
};

// Events of the client, from its own thread. `reason` is for people, `code` is MQTT 5's reason code (142: another
// client uses our client id).
// What the broker allows: from its CONNACK.
struct BrokerLimits {
  std::size_t packet_bytes = 268'435'460;  // the largest packet of MQTT 5
  int qos = 2;
  bool retain = true;
  std::size_t in_flight = 65'535;
  std::chrono::seconds keepalive{65'535};  // the longest
};
// Of a packet, beside topic and payload: more than its header and our properties ever need.
inline constexpr std::size_t around_payload = 1024;

struct Connected {
  BrokerLimits limits{};
};
inline constexpr Duration early_pause = std::chrono::milliseconds(50);
struct ConnectFailed {
  std::string reason;
  bool refused = false;  // by the broker, for a reason that ends only when somebody changes a setting
  bool early = false;    // before the broker was asked (ADR 11): worth another try after early_pause
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
  std::uint64_t id = 0;  // of the message
};  // one publish is complete
struct Received {
  Message message;
};
using ClientEvent =
    std::variant<Connected, ConnectFailed, ConnectionLost, Subscribed, SubscribeFailed, Delivered, Received>;

// All calls return at once; events report the results. Only one thread calls.
class Client {
 public:
  // Called from the client's thread: must only store the event, never call the client.
  using OnEvent = std::function<void(ClientEvent)>;

  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&&) = delete;
  Client& operator=(Client&&) = delete;
  virtual ~Client() = default;

  virtual void connect() = 0;
  virtual void subscribe(const std::vector<Subscription>& subscriptions) = 0;
  // False: not connected (the message is dropped).
  virtual bool publish(const Message& message) = 0;
  // Waits, at most `patience`, until all publishes are complete, then disconnects cleanly: no will is published.
  virtual void disconnect(Duration patience) = 0;
};

// Makes the client of a loop; fails if the options are not valid.
using MakeClient = std::function<Result<std::unique_ptr<Client>>(const Options&, Client::OnEvent)>;

}  // namespace edgefleet::mqtt
