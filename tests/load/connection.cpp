#include "tests/load/connection.hpp"

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include <new>
#include <stdexcept>

namespace edgefleet::load {
namespace {

constexpr int packets_at_once = 100;
constexpr int most_in_flight = 65535;  // the limit of Paho, which agents use; libmosquitto's default is 20

std::string code_text(int reason_code) {
  return std::string(mosquitto_reason_string(reason_code)) + " (reason code " + std::to_string(reason_code) + ")";
}

}  // namespace

Library::Library() { mosquitto_lib_init(); }
Library::~Library() { mosquitto_lib_cleanup(); }

void Connection::Free::operator()(mosquitto* client) const { mosquitto_destroy(client); }

// The callbacks of libmosquitto; `self` is the connection.
struct Connection::Callbacks {
  static Connection& of(void* self) { return *static_cast<Connection*>(self); }

  static void connected(mosquitto*, void* self, int reason, int, const mosquitto_property*) {
    if (reason == 0) return of(self).emit(mqtt::Connected{});
    of(self).emit(mqtt::ConnectFailed{code_text(reason)});
  }
  static void lost(mosquitto*, void* self, int reason, const mosquitto_property*) {
    of(self).emit(mqtt::ConnectionLost{std::string("connection lost: ") + mosquitto_strerror(reason), reason});
  }
  static void subscribed(mosquitto*, void* self, int, int count, const int* granted, const mosquitto_property*) {
    for (int i = 0; i < count; ++i) {
      if (granted[i] >= MQTT_RC_UNSPECIFIED) return of(self).emit(mqtt::SubscribeFailed{code_text(granted[i])});
    }
    of(self).emit(mqtt::Subscribed{});
  }
  static void delivered(mosquitto*, void* self, int, int reason, const mosquitto_property*) {
    if (reason < MQTT_RC_UNSPECIFIED) return of(self).emit(mqtt::Delivered{});
    of(self).emit(mqtt::Delivered{false, code_text(reason), reason});
  }
  static void received(mosquitto*, void* self, const mosquitto_message* message, const mosquitto_property*) {
    of(self).emit(mqtt::Received{
        {message->topic,
         std::string(static_cast<const char*>(message->payload), static_cast<std::size_t>(message->payloadlen)),
         message->qos, message->retain}});
  }
};

Connection::Connection(const mqtt::Options& options, std::string host, int port, OnEvent on_event)
    : on_event_(std::move(on_event)),
      host_(std::move(host)),
      port_(port),
      keepalive_s_(static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(options.keepalive).count())),
      client_(mosquitto_new(options.client_id.c_str(), true, this)) {
  if (!client_) throw std::bad_alloc();
  mosquitto* const client = client_.get();
  mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, most_in_flight);
  mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, most_in_flight);
  mosquitto_connect_v5_callback_set(client, Callbacks::connected);
  mosquitto_disconnect_v5_callback_set(client, Callbacks::lost);
  mosquitto_subscribe_v5_callback_set(client, Callbacks::subscribed);
  mosquitto_publish_v5_callback_set(client, Callbacks::delivered);
  mosquitto_message_v5_callback_set(client, Callbacks::received);
  use_tls(options.tls);
  if (!options.will) return;
  const mqtt::Message& will = *options.will;
  mosquitto_will_set_v5(client, will.topic.c_str(), static_cast<int>(will.payload.size()), will.payload.data(),
                        will.qos, will.retained, nullptr);
}

// Like Paho, libmosquitto reads the files at each connect.
void Connection::use_tls(const mqtt::TlsFiles& files) {
  if (files.ca.empty()) return;
  const int failure = mosquitto_tls_set(client_.get(), files.ca.c_str(), nullptr, files.certificate.c_str(),
                                        files.key.c_str(), nullptr);
  if (failure != MOSQ_ERR_SUCCESS) {
    throw std::runtime_error(files.certificate + " cannot be used: " + mosquitto_strerror(failure));
  }
}

// The broker is on the loopback interface: the TCP connection is established or refused at once. A TLS handshake goes
// on while the socket is watched.
void Connection::connect() {
  ++connects_;
  const int failure = mosquitto_connect_bind_v5(client_.get(), host_.c_str(), port_, keepalive_s_, nullptr, nullptr);
  if (failure != MOSQ_ERR_SUCCESS) emit(mqtt::ConnectFailed{mosquitto_strerror(failure)});
}

void Connection::subscribe(const std::vector<mqtt::Subscription>& subscriptions) {
  std::vector<char*> filters;
  for (const auto& subscription : subscriptions) {
    filters.push_back(const_cast<char*>(subscription.filter.c_str()));  // NOLINT: libmosquitto's shape; it only reads
  }
  const int failure = mosquitto_subscribe_multiple(client_.get(), nullptr, static_cast<int>(filters.size()),
                                                   filters.data(), 1, 0, nullptr);
  if (failure != MOSQ_ERR_SUCCESS) emit(mqtt::SubscribeFailed{mosquitto_strerror(failure)});
}

bool Connection::publish(const mqtt::Message& message) {
  const int failure =
      mosquitto_publish_v5(client_.get(), nullptr, message.topic.c_str(), static_cast<int>(message.payload.size()),
                           message.payload.data(), message.qos, message.retained, nullptr);
  if (failure == MOSQ_ERR_SUCCESS) return true;
  emit(mqtt::Delivered{false, mosquitto_strerror(failure), 0});
  return false;
}

void Connection::disconnect(Duration /*patience*/) { mosquitto_disconnect_v5(client_.get(), 0, nullptr); }

int Connection::socket() const { return mosquitto_socket(client_.get()); }
bool Connection::wants_write() const { return mosquitto_want_write(client_.get()); }
// A failure of these is reported by the callback for a lost connection.
void Connection::readable() { mosquitto_loop_read(client_.get(), packets_at_once); }
void Connection::writable() { mosquitto_loop_write(client_.get(), packets_at_once); }
void Connection::care() { mosquitto_loop_misc(client_.get()); }

}  // namespace edgefleet::load
