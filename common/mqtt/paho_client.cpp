// The only file that includes Paho. Differences between Paho C++ 1.2 (Debian 12) and 1.5 (Debian 13) end here.
#include "common/mqtt/paho_client.hpp"

#include <mqtt/async_client.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "common/mqtt/address.hpp"
#include "common/mqtt/nodelay.hpp"
#include "common/mqtt/reach.hpp"
#include "common/mqtt/session.hpp"

namespace edgefleet::mqtt {
namespace {

::mqtt::message_ptr to_paho(const Message& message) {
  auto paho = ::mqtt::make_message(message.topic, message.payload, message.qos, message.retained);
  if (message.response_topic.empty() && message.correlation_data.empty()) return paho;
  ::mqtt::properties properties;
  if (!message.response_topic.empty()) {
    properties.add(::mqtt::property(::mqtt::property::RESPONSE_TOPIC, message.response_topic));
  }
  if (!message.correlation_data.empty()) {
    properties.add(::mqtt::property(::mqtt::property::CORRELATION_DATA, message.correlation_data));
  }
  paho->set_properties(properties);
  return paho;
}

Message from_paho(const ::mqtt::const_message_ptr& paho) {
  Message message{paho->get_topic(), paho->get_payload_str(), paho->get_qos(), paho->is_retained(), {}, {}};
  const auto& properties = paho->get_properties();
  if (properties.contains(::mqtt::property::RESPONSE_TOPIC)) {
    message.response_topic = ::mqtt::get<std::string>(properties, ::mqtt::property::RESPONSE_TOPIC);
  }
  if (properties.contains(::mqtt::property::CORRELATION_DATA)) {
    message.correlation_data = ::mqtt::get<std::string>(properties, ::mqtt::property::CORRELATION_DATA);
  }
  return message;
}

// Paho counts messages in flight as buffered: with its default of 100 a burst is refused (-12).
::mqtt::create_options create_options() {
  ::mqtt::create_options options(MQTTVERSION_5);
  options.set_max_buffered_messages(static_cast<int>(10 * Session::window));
  return options;
}

// Why a broker refuses a connection, by its reason code of MQTT 5; Paho has no texts for these.
std::string refusal_of(int code) {
  BrokerLimits without_retain;
  without_retain.retain = false;
  BrokerLimits without_qos;
  without_qos.qos = 0;
  static const std::map<int, std::string> reasons = {
      {132, "it does not speak MQTT 5, which edgefleet needs"},
      {133, "it does not accept the client id"},
      {134, "the user name or password is wrong"},
      {135, "not authorized: check the user and the access list"},
      {136, "it is not available"},
      {137, "it is busy"},
      {138, "this client is banned"},
      {149, "our first packet is larger than it allows (max_packet_size)"},
      {154, what_is_missing(without_retain)},
      {155, what_is_missing(without_qos)},
      {159, "clients connect too often (connection rate exceeded)"},
  };
  const auto found = reasons.find(code);
  return found == reasons.end() ? std::string() : found->second;
}

std::string why(const ::mqtt::token& token) {
  const int code = token.get_reason_code();
  std::string reason = refusal_of(token.get_return_code());
  if (reason.empty()) reason = ::mqtt::exception::error_str(token.get_return_code());
  if (reason.empty()) reason = "return code " + std::to_string(token.get_return_code());
  if (token.get_return_code() == MQTTASYNC_FAILURE) reason = "it cannot be reached or does not answer";
  if (code > 0) reason += " (reason code " + std::to_string(code) + ")";
  return reason;
}

// Why a broker does not take a message, by its reason code.
std::string why_not_taken(const ::mqtt::token& token) {
  static const std::map<int, std::string> reasons = {
      {135, "not authorized: check the access list"},     {144, "its topic is not valid"},
      {149, "it is larger than the broker takes"},        {151, "a quota is exceeded"},
      {153, "its payload is not of the promised format"},
  };
  const int code = token.get_reason_code();
  const auto found = reasons.find(code);
  return found == reasons.end() ? why(token) : found->second + " (reason code " + std::to_string(code) + ")";
}

// Not: the broker is busy or not available.
bool refused_for_good(const ::mqtt::token& token) {
  const int code = token.get_return_code();
  return code != 136 && code != 137 && code != 159 && !refusal_of(code).empty();
}

// The id of a message travels as Paho's context of the operation.
void* context_of(std::uint64_t id) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(id));  // NOLINT(performance-no-int-to-ptr)
}
std::uint64_t id_of(const ::mqtt::token& token) { return reinterpret_cast<std::uintptr_t>(token.get_user_context()); }

BrokerLimits limits_of(const ::mqtt::token& token) {
  BrokerLimits limits;
  const auto response = token.get_connect_response();
  const auto& properties = response.get_properties();
  const auto read = [&]<typename Wire>(::mqtt::property::code code, Wire otherwise) {
    return properties.contains(code) ? ::mqtt::get<Wire>(properties, code) : otherwise;
  };
  limits.packet_bytes = read(::mqtt::property::MAXIMUM_PACKET_SIZE, static_cast<std::uint32_t>(limits.packet_bytes));
  limits.qos = read(::mqtt::property::MAXIMUM_QOS, std::uint8_t{2});
  limits.retain = read(::mqtt::property::RETAIN_AVAILABLE, std::uint8_t{1}) != 0;
  limits.in_flight = read(::mqtt::property::RECEIVE_MAXIMUM, std::uint16_t{65'535});
  limits.keepalive = std::chrono::seconds(read(::mqtt::property::SERVER_KEEP_ALIVE, std::uint16_t{65'535}));
  return limits;
}

// Turns Paho's success and failure of one kind of operation into events.
class Listener final : public ::mqtt::iaction_listener {
 public:
  using Success = std::function<void(const ::mqtt::token&)>;
  Listener(Success on_success, Success on_failure)
      : on_success_(std::move(on_success)), on_failure_(std::move(on_failure)) {}
  void on_success(const ::mqtt::token& token) override { on_success_(token); }
  void on_failure(const ::mqtt::token& token) override { on_failure_(token); }

 private:
  Success on_success_;
  Success on_failure_;
};

constexpr std::string_view secure_scheme = "ssl://";

::mqtt::ssl_options ssl_of(const TlsFiles& files) {
  ::mqtt::ssl_options ssl;
  if (!files.ca.empty()) ssl.set_trust_store(files.ca);
  if (!files.certificate.empty()) {
    ssl.set_key_store(files.certificate);
    ssl.set_private_key(files.key);
  }
  ssl.set_enable_server_cert_auth(true);
  ssl.set_verify(true);  // without it the chain is checked, but not the name
  return ssl;
}

using Clock = std::chrono::steady_clock;
// A link that was lost often comes back at once: until then a failure is not explained.
constexpr auto before_explaining = std::chrono::seconds(10);
constexpr auto too_early = std::chrono::milliseconds(500);
constexpr int most_early = 8;  // on a busy machine every second handshake ends early

class PahoClient final : public Client {
 public:
  PahoClient(const Options& options, const std::string& uri, OnEvent on_event)
      : on_event_(std::move(on_event)),
        connected_([this](const auto& token) { once(token, [&] { connect_succeeded(token); }); },
                   [this](const auto& token) { once(token, [&] { connect_failed(token); }); }),
        subscribed_([this](const auto&) { on_event_(Subscribed{}); },
                    [this](const auto& token) { on_event_(SubscribeFailed{why(token)}); }),
        delivered_([this](const auto& token) { on_event_(Delivered{true, {}, 0, id_of(token)}); },
                   [this](const auto& token) {
                     on_event_(Delivered{false, why_not_taken(token), token.get_reason_code(), id_of(token)});
                   }),
        keepalive_(std::chrono::duration_cast<std::chrono::seconds>(options.keepalive)),
        broker_(options.broker),
        tls_(options.tls),
        secure_(uri.starts_with(secure_scheme)),
        uri_(uri),
        client_id_(options.client_id) {
    use_tcp_nodelay();
    // Built in place and never copied: 1.2.0 loses properties and reads freed memory if these are moved.
    connect_options_.set_mqtt_version(MQTTVERSION_5);
    connect_options_.set_clean_start(true);
    connect_options_.set_keep_alive_interval(keepalive_);
    connect_options_.set_connect_timeout(std::chrono::duration_cast<std::chrono::seconds>(options.connect_timeout));
    connect_options_.set_automatic_reconnect(false);
    connect_options_.set_max_inflight(65535);
    if (secure_) connect_options_.set_ssl(ssl_of(options.tls));
    if (!options.username.empty()) connect_options_.set_user_name(options.username);
    if (!options.password.empty()) connect_options_.set_password(options.password);
    if (options.will) {
      connect_options_.set_will_message(
          ::mqtt::make_message(options.will->topic, options.will->payload, options.will->qos, options.will->retained));
    }
    make_client();
  }

  ~PahoClient() override {
    const std::lock_guard lock(telling_);  // waits for a callback that is under way
    ending_ = true;
  }
  PahoClient(const PahoClient&) = delete;
  PahoClient& operator=(const PahoClient&) = delete;
  PahoClient(PahoClient&&) = delete;
  PahoClient& operator=(PahoClient&&) = delete;

  void connect() override {
    connecting_since_ = Clock::now();
    attempt(
        [&] {
          if (keeps_socket_.exchange(false)) make_client();
          keep(client_->connect(connect_options_, context_of(++connects_), connected_));
        },
        [&](const std::string& reason) { on_event_(ConnectFailed{reason}); });
  }

  void subscribe(const std::vector<Subscription>& subscriptions) override {
    auto filters = std::make_shared<::mqtt::string_collection>();
    ::mqtt::iasync_client::qos_collection levels;
    for (const auto& subscription : subscriptions) {
      filters->push_back(subscription.filter);
      levels.push_back(subscription.qos);
    }
    attempt([&] { client_->subscribe(filters, levels, nullptr, subscribed_); },
            [&](const std::string& reason) { on_event_(SubscribeFailed{reason}); });
  }

  bool publish(const Message& message) override {
    return attempt([&] { client_->publish(to_paho(message), context_of(message.id), delivered_); },
                   [&](const std::string& reason) { on_event_(Delivered{false, reason, 0, message.id}); });
  }

  void disconnect(Duration patience) override {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
    attempt([&] { client_->disconnect(static_cast<int>(ms.count()))->wait_for(ms); }, [](const std::string&) {});
  }

 private:
  void make_client() {
    auto client = std::make_unique<::mqtt::async_client>(uri_, client_id_, create_options());
    client->set_message_callback([this](const ::mqtt::const_message_ptr& message) {
      if (message) on_event_(Received{from_paho(message)});
    });
    client->set_disconnected_handler([this](const ::mqtt::properties&, ::mqtt::ReasonCode code) {
      on_event_(
          ConnectionLost{"the broker ended the connection (reason code " + std::to_string(int{code}) + ")", int{code}});
    });
    client->set_connection_lost_handler(
        [this](const std::string& cause) { on_event_(ConnectionLost{cause.empty() ? "connection lost" : cause, 0}); });
    {
      const std::lock_guard lock(telling_);  // waits for a callback of the former one
      client_.swap(client);
    }
  }

  // Paho C before 1.3.13 may tell the end of one connect twice, also from two threads (its issues 972 and 1341). The
  // first one counts; the second one may come when the next connect has begun, so its token must still be there.
  template <typename Tell>
  void once(const ::mqtt::token& token, Tell tell) {
    const std::lock_guard lock(telling_);
    if (ending_ || id_of(token) <= told_) return;
    told_ = id_of(token);
    tell();
  }
  void keep(::mqtt::token_ptr token) {
    kept_.push_back(std::move(token));
    if (kept_.size() > most_kept) kept_.pop_front();
  }

  // Paho does not follow the broker's own keepalive, so a broker that asks for a shorter one would end the connection
  // again and again.
  void connect_succeeded(const ::mqtt::token& token) {
    explanation_.reset();
    early_failures_ = 0;
    connected_before_ = true;
    explain_at_.reset();
    const auto limits = limits_of(token);
    if (limits.keepalive >= keepalive_) return on_event_(Connected{limits});
    keepalive_ = std::max(limits.keepalive, std::chrono::seconds(1));
    connect_options_.set_keep_alive_interval(keepalive_);
    on_event_(ConnectFailed{"it asks for a keepalive of " + std::to_string(keepalive_.count()) +
                            " s; connecting again with that"});
  }

  // A TLS handshake that ends within Paho's first call, as it may with a broker on the same machine, makes Paho fail
  // without a word to the broker (ADR 11). Other failures that are as quick are tried again in vain, which is harmless.
  // Not from here: after a callback Paho still writes to the operation that has failed.
  bool ended_too_early(const ::mqtt::token& token) {
    const bool quick = token.get_return_code() == MQTTASYNC_FAILURE && Clock::now() - connecting_since_ < too_early;
    if (!secure_ || !quick || ++early_failures_ > most_early) early_failures_ = 0;
    return early_failures_ > 0;
  }

  // A negative code is Paho's own, which does not tell what happened.
  void connect_failed(const ::mqtt::token& token) {
    // Paho forgets the socket of a handshake that has ended early, and its thread may wake up for it without end. It is
    // closed only with its client.
    if (secure_) keeps_socket_ = true;
    if (ended_too_early(token)) return on_event_(ConnectFailed{"the TLS handshake ended early", false, true});
    if (token.get_return_code() >= 0) return on_event_(ConnectFailed{why(token), refused_for_good(token)});
    on_event_(ConnectFailed{explanation(token)});
  }

  // An explanation costs time, in which no connection is tried.
  std::string explanation(const ::mqtt::token& token) {
    const auto now = Clock::now();
    if (!explain_at_) explain_at_ = connected_before_ ? now + before_explaining : now;
    if (now >= *explain_at_) {
      explanation_ = why_unusable(broker_, tls_, std::chrono::seconds(1));
      explain_at_ = now + std::chrono::minutes(1);
    }
    return explanation_.value_or(why(token));
  }

  // Paho throws; our code does not.
  template <typename Call, typename Fail>
  static bool attempt(Call call, Fail fail) {
    try {
      call();
      return true;
    } catch (const std::exception& failure) {
      fail(failure.what());
      return false;
    }
  }

  // The order matters: options, listeners and callbacks must outlive the client and all its operations.
  OnEvent on_event_;
  ::mqtt::connect_options connect_options_;
  Listener connected_;
  Listener subscribed_;
  Listener delivered_;
  std::chrono::seconds keepalive_;
  std::string broker_;
  TlsFiles tls_;
  bool secure_ = false;
  Clock::time_point connecting_since_;  // set before Paho's thread works on it
  // Only on Paho's thread.
  int early_failures_ = 0;  // in a row
  std::optional<std::string> explanation_;  // of failed attempts
  std::optional<Clock::time_point> explain_at_;
  bool connected_before_ = false;
  std::string uri_;
  std::string client_id_;
  std::atomic<bool> keeps_socket_ = false;
  static constexpr std::size_t most_kept = 8;
  std::mutex telling_;
  bool ending_ = false;
  std::uint64_t told_ = 0;  // the last connect whose end was told; they are numbered
  // Only on the caller's thread.
  std::uint64_t connects_ = 0;
  std::deque<::mqtt::token_ptr> kept_;  // of the last connects
  std::unique_ptr<::mqtt::async_client> client_;
};

}  // namespace

Result<std::unique_ptr<Client>> make_paho_client(const Options& options, Client::OnEvent on_event) {
  const auto address = parse_address(options.broker);
  if (!address) return address.error();
  try {
    return std::unique_ptr<Client>(std::make_unique<PahoClient>(
        options, (address->tls ? std::string(secure_scheme) : "tcp://") + authority_of(*address), std::move(on_event)));
  } catch (const std::exception& failure) {
    return Error{"cannot create the MQTT client: " + std::string(failure.what())};
  }
}

}  // namespace edgefleet::mqtt
