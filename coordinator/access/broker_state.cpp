#include "coordinator/access/broker_state.hpp"

#include <algorithm>

#include "coordinator/access/setup_files.hpp"

namespace edgefleet::coordinator {

BrokerState parse_broker_state(std::string_view text) {
  BrokerState state;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto sign = line.find('=');
    if (sign == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, sign), value = line.substr(sign + 1);
    if (key == "broker") state.broker = value;
    if (key == "generation") state.generation = value;
    if (key == "refused") state.refused = value;
    if (key == "why") state.why = value;
  }
  return state;
}

BrokerState read_broker_state(const std::string& run) {
  const auto text = read_text(run + "/state");
  return text ? parse_broker_state(*text) : BrokerState{};
}

}  // namespace edgefleet::coordinator
