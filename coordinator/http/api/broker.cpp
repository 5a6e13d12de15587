// /api/v1/broker: which broker a closed fleet has, whether it works, and what it must refuse.
#include "common/protocol/json.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/host.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {
namespace {

void write_trial(json::ObjectWriter& object, const BrokerTrial& trial) {
  object.string("tried_at", rfc3339(trial.at));
  object.unsigned_integer("tried", trial.tried);
  object.strings("passes", trial.passes);
  object.strings("unknown", trial.unknown);
}

Reply show(const ClosedFleet& closed, const Request& request) {
  const Setup& setup = closed.setup();
  const BrokerState state = closed.broker_state();
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("whose", "ours");
    object.string("host", broker_for_others(setup, known_host_of(setup, request)));
    object.integer("agents_port", setup.broker_agents_port);
    object.integer("people_port", setup.broker_people_port);
    object.string("folder", setup.broker_folder);
    object.string("state", state.broker.empty() ? "unknown" : state.broker);
    if (!state.generation.empty()) object.string("generation", state.generation);
    object.string("wanted", current_generation(setup.broker_folder));
    if (!state.refused.empty()) object.string("refused", state.refused);
    if (!state.why.empty()) object.string("why", state.why);
    if (const auto trial = closed.last_trial()) write_trial(object, *trial);
  }
  return json_reply(200, body);
}

Reply trial_reply(const Result<BrokerTrial>& trial) {
  if (!trial) return problem(trial.error());
  std::string body;
  {
    json::ObjectWriter object(body);
    write_trial(object, *trial);
  }
  return json_reply(200, body);
}

}  // namespace

void add_broker_routes(Routes& routes, const Parts& parts) {
  if (parts.closed == nullptr) return;
  // clang-format off
  routes.push_back({"GET", "/api/v1/broker", "getBroker", "The broker: whether it works, and what it was found to let through", "operate", http_server::answer_with([closed = parts.closed](const Request& request) { return show(*closed, request); })});
  routes.push_back({"POST", "/api/v1/broker/try", "tryBroker", "Try all that the broker must refuse; takes seconds", "admin", http_server::answer_with([parts](const Request& request) { return trial_reply(parts.try_broker(request.principal.name)); })});
  // clang-format on
}

}  // namespace edgefleet::coordinator
