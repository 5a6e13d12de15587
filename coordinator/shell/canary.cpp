#include "coordinator/shell/canary.hpp"

#include "coordinator/shell/brief_client.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr int not_authorized = 135;  // MQTT 5's reason code

}  // namespace

CanaryEnd try_canary(const Canary& canary, const mqtt::MakeClient& make_client, Duration patience) {
  const bool must_connect = !canary.topic.empty();
  BriefClient client(canary.client);
  const auto connected =
      must_connect ? client.connect_surely(make_client, patience) : client.connect(make_client, patience);
  if (!connected) return must_connect ? CanaryEnd::unknown : CanaryEnd::refused;
  if (!must_connect) return CanaryEnd::passed;
  mqtt::Message message;
  message.topic = canary.topic;
  message.qos = 1;
  const auto delivered = client.publish(message, patience);
  if (!delivered) return CanaryEnd::unknown;
  if (delivered->ok) return CanaryEnd::passed;
  return delivered->code == not_authorized ? CanaryEnd::refused : CanaryEnd::unknown;
}

}  // namespace edgefleet::coordinator
