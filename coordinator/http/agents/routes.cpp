#include "coordinator/http/agents/routes.hpp"

#include "common/core/overloaded.hpp"
#include "common/pki/request.hpp"
#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/http/agents/gate.hpp"
#include "coordinator/http/api/api.hpp"
#include "coordinator/http/host.hpp"
#include "coordinator/http/reply.hpp"
#include "coordinator/http/site/refuse.hpp"

namespace edgefleet::coordinator {
namespace {

using http_server::Reply;
using http_server::Request;

// The addresses are those by which this machine has reached the coordinator.
std::string joined_text(ClosedFleet& closed, const Request& request, const EnrolledAgent& agent) {
  const Setup& setup = closed.setup();
  const std::string known = known_host_of(setup, request);
  return join::encode(join::Joined{
      agent.name, setup.fleet.str(), agent.certificate, closed.authority().certificate().pem(),
      "mqtts://" + in_url(broker_for_others(setup, known)) + ":" + std::to_string(setup.broker_agents_port),
      "https://" + in_url(known) + ":" + port_of_listener(setup.agents_listen),
      closed.enrolment().certificate_life(agent.ephemeral), agent.ephemeral});
}

Reply join_with_token(const Parts& parts, const Request& request) {
  ClosedFleet& closed = *parts.closed;
  const auto message = join::decode_with_token(request.body);
  if (!message) return problem(message.error());
  const auto key = pki::read_request(message->request);
  if (!key) return problem(Error{"`request`: " + key.error().message, ErrorKind::invalid});
  const auto agent = closed.enrolment().join(message->secret, *key, message->machine);
  if (!agent) {
    log::warning("a machine at " + request.peer.address + " that calls itself " + message->machine.name.substr(0, 63) +
                 " could not join: " + agent.error().message);
    if (agent.error().kind == ErrorKind::forbidden) {
      closed.refusals().note(request.peer.address, "to join: " + agent.error().message);
    }
    return problem(agent.error());
  }
  log::info("agent " + agent->name + " at " + request.peer.address + " has joined with a token");
  parts.settle_join(agent->name);
  return json_reply(201, joined_text(closed, request, *agent));
}

Reply begin_request(ClosedFleet& closed, const Request& request) {
  auto commitment = join::decode_commitment(request.body);
  if (!commitment) return problem(commitment.error());
  const auto challenge = closed.join_requests().begin(request.peer.address, std::move(*commitment), monotonic_now());
  return challenge ? json_reply(201, join::encode(*challenge)) : problem(challenge.error());
}

Reply open_request(ClosedFleet& closed, const Request& request) {
  const auto opening = join::decode_opening(request.body);
  if (!opening) return problem(opening.error());
  const auto opened = closed.join_requests().open(request.capture("id"), *opening, monotonic_now());
  if (!opened && opened.error().kind == ErrorKind::invalid) {
    const std::string reason = "a request to join was opened with something else than it had committed to";
    log::warning(request.peer.address + ": " + reason);
    closed.refusals().note_unknown(request.peer.address, reason);
  }
  if (!opened) return problem(opened.error());
  log::info("a machine at " + request.peer.address +
            " asks to join: `edgefleet agents waiting` lists it, `edgefleet agents accept CODE` accepts it");
  return json_reply(202, R"({"state":"waiting"})");
}

Reply look_at_request(ClosedFleet& closed, const Request& request) {
  const auto answer = closed.join_requests().look(request.capture("id"), monotonic_now());
  if (!answer) return problem(answer.error());
  return std::visit(
      overloaded{
          [](const JoinRequests::Waiting&) { return json_reply(202, R"({"state":"waiting"})"); },
          [&](const JoinRequests::Refused&) { return refuse({403, "this machine was refused", {}}, request.path); },
          [&](const EnrolledAgent& agent) { return json_reply(200, joined_text(closed, request, agent)); }},
      *answer);
}

Reply renew(ClosedFleet& closed, const Request& request) {
  const auto message = join::decode_renewal(request.body);
  if (!message) return problem(message.error());
  const auto key = pki::read_request(message->request);
  if (!key) return problem(Error{"`request`: " + key.error().message, ErrorKind::invalid});
  const auto agent = closed.enrolment().renew(request.principal.name, *key);
  return agent ? json_reply(200, joined_text(closed, request, *agent)) : problem(agent.error());
}

Reply crl(ClosedFleet& closed, const Request&) {
  auto text = closed.crl();
  return text ? Reply{200, std::move(*text), "application/x-pem-file", {}, {}} : problem(text.error());
}

}  // namespace

void add_agents_routes(Routes& routes, const Parts& parts) {
  const auto with = [closed = parts.closed](Reply (*handler)(ClosedFleet&, const Request&)) {
    return http_server::answer_with([closed, handler](const Request& request) { return handler(*closed, request); });
  };
  const std::string agent(agent_role);
  const std::string one(std::string(join::requests_path) + "/{id}");
  // clang-format off
  routes.push_back({"GET", std::string(join::ca_path), "getCa", "The certificate of the fleet's certification authority", "", with([](ClosedFleet& closed, const Request&) { return ca_reply(closed); })});
  routes.push_back({"POST", std::string(join::join_path), "join", "A certificate for the owner of a join token", "", http_server::answer_with([parts](const Request& request) { return join_with_token(parts, request); })});
  routes.push_back({"POST", std::string(join::requests_path), "beginJoinRequest", "Ask to join without a token", "", with(begin_request)});
  routes.push_back({"POST", one, "openJoinRequest", "Show what the request has committed to", "", with(open_request)});
  routes.push_back({"GET", one, "getJoinRequest", "Whether a person has accepted", "", with(look_at_request)});
  routes.push_back({"POST", std::string(join::renew_path), "renewCertificate", "A new certificate for an enrolled agent", agent, with(renew)});
  routes.push_back({"GET", std::string(join::crl_path), "getCrl", "The list of revoked certificates", agent, with(crl)});
  // clang-format on
  add_health_route(routes);
  add_agents_artifact_routes(routes, parts, agent);
}

}  // namespace edgefleet::coordinator
