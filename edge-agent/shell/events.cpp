#include "edge-agent/shell/events.hpp"

namespace edgefleet::agent {

Event event_of(protocol::TasksMessage message, const Capability& capability) {
  TasksSeen event{std::move(message.reign), message.n, capability, {}, message.max_output_bytes};
  for (auto& task : message.tasks.good) {
    event.tasks.push_back(
        {task.id, task.attempt, std::move(task.input), task.timeout, task.executor, std::move(task.input_at)});
  }
  return event;
}

Event event_of(const protocol::ControlMessage& message) {
  std::vector<AttemptKey> keys;
  AcknowledgeSeen acknowledge{message.reign, {}};
  for (const auto& ref : message.tasks.good) {
    keys.push_back({ref.id, ref.attempt});
    acknowledge.results.push_back({keys.back(), ref.unknown});
  }
  switch (message.type) {
    case protocol::ControlType::acknowledge:
      return acknowledge;
    case protocol::ControlType::cancel:
      return CancelSeen{message.reign, std::move(keys)};
    case protocol::ControlType::recall:
      return RecallSeen{message.reign, std::move(keys)};
    case protocol::ControlType::introduce:
      return IntroduceSeen{message.reign};
    case protocol::ControlType::describe:  // the shell answers them
    case protocol::ControlType::upload:
      return Tick{};
    case protocol::ControlType::reload:
      return ReloadSeen{message.reign};
    case protocol::ControlType::drain:
      return DrainSeen{message.reign, true};
    case protocol::ControlType::resume:
      break;
  }
  return DrainSeen{message.reign, false};
}

}  // namespace edgefleet::agent
