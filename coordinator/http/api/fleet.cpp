// Agents, the queue, and whether the coordinator works.
#include "common/protocol/json.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/views/capabilities.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration capabilities_kept = std::chrono::milliseconds(500);
constexpr std::size_t agents_at_once = 512;  // about three milliseconds of the loop

Error unknown_agent(const std::string& name) {
  return Error{"agent " + name.substr(0, 63) + " is not known", ErrorKind::not_found};
}

std::optional<AgentName> name_in(const Request& request, const Responder& responder) {
  auto name = AgentName::parse(request.capture("name"));
  if (!name) responder.answer(problem(unknown_agent(request.capture("name"))));
  return name;
}

// In parts, so that the loop does its other work in between: thousands of agents take tens of milliseconds. No agent is
// missed, because agents keep their numbers.
void list_from(const Parts& parts, const Responder& responder, std::size_t first, const std::string& so_far) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  look<AgentsPart>(
      parts.loop, responder,
      [first](const State& state, Now now) { return agents_part(state, now, first, agents_at_once); },
      [parts, responder, first, so_far](const Result<AgentsPart>& part) {
        if (!part) return responder.answer(problem(part.error()));
        const bool between = !so_far.empty() && !part->elements.empty();
        const std::string body = so_far + (between ? "," : "") + part->elements;
        if (!part->more) return responder.answer(json_reply(200, R"({"agents":[)" + body + "]}"));
        list_from(parts, responder, first + agents_at_once, body);
      });
}

void list(const Parts& parts, const Request&, const Responder& responder) { list_from(parts, responder, 0, {}); }

void get(const Parts& parts, const Request& request, const Responder& responder) {
  const auto name = name_in(request, responder);
  if (!name) return;
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  look<std::string>(
      parts.loop, responder,
      [name = *name](const State& state, Now now) {
        const auto found = state.agent_index.find(name);
        return found == state.agent_index.end() ? std::string()
                                                : agent_view(state, state.agents[found->second], now, true);
      },
      [responder, name = *name](const Result<std::string>& seen) {
        if (!seen) return responder.answer(problem(seen.error()));
        responder.answer(seen->empty() ? problem(unknown_agent(name.str())) : json_reply(200, *seen));
      });
}

void set_drain(const Parts& parts, const Request& request, const Responder& responder, bool drain) {
  const auto name = name_in(request, responder);
  if (!name) return;
  ask_quick<Drained>(
      responder, [&](auto answer) { parts.loop.drain(*name, drain, answer); },
      [name = *name](const Drained& answer) { return json_reply(202, drained_view(name, answer)); });
}
void drain(const Parts& parts, const Request& request, const Responder& r) { set_drain(parts, request, r, true); }
void resume(const Parts& parts, const Request& request, const Responder& r) { set_drain(parts, request, r, false); }

void reload(const Parts& parts, const Request& request, const Responder& responder) {
  const auto name = name_in(request, responder);
  if (!name) return;
  ask_quick<Reloading>(
      responder, [&](auto answer) { parts.loop.reload(*name, answer); },
      [name = *name](const Reloading& answer) { return json_reply(202, reloading_view(name, answer)); });
}

// One that has a certificate is revoked too: otherwise it could come back.
void forget(const Parts& parts, const Request& request, const Responder& responder) {
  const auto name = name_in(request, responder);
  if (!name) return;
  ask<AgentName>(
      responder, [&](auto answer) { parts.loop.forget(*name, answer); },
      [parts, responder, who = request.principal.name](const Result<AgentName>& gone) {
        if (!gone) return responder.answer(problem(gone.error()));
        if (parts.closed != nullptr && parts.closed->enrolment().find(gone->str())) {
          if (auto revoked = parts.revoke_agent(who, gone->str(), {}); !revoked) {
            return responder.answer(problem(revoked.error()));
          }
        }
        responder.answer(accepted_object("name", gone->str(), "forgotten"));
      });
}

using View = std::function<std::string(const State&, Now)>;  // on the loop's thread

void show(const Parts& parts, const Responder& responder, const View& view) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  look<std::string>(parts.loop, responder, view, [responder](const Result<std::string>& seen) {
    responder.answer(seen ? json_reply(200, *seen) : problem(seen.error()));
  });
}

void queue(const Parts& parts, const Request&, const Responder& responder) {
  show(parts, responder, [](const State& state, Now) { return queue_view(state); });
}

// Thousands of agents take tens of milliseconds of the loop, so a view is shown again for a while.
View recent_capabilities() {
  struct Recent {
    Time at;
    std::string view;
  };
  return [recent = std::make_shared<Recent>()](const State& state, Now now) {
    if (recent->view.empty() || now.mono >= recent->at + capabilities_kept) {
      *recent = {now.mono, capabilities_view(state)};
    }
    return recent->view;
  };
}

void release(const Parts& parts, const Request&, const Responder& responder) {
  ask_quick<std::size_t>(
      responder, [&](auto answer) { parts.loop.release(answer); },
      [](std::size_t released) {
        std::string body;
        {
          json::ObjectWriter object(body);
          object.unsigned_integer("released", released);
        }
        return json_reply(200, body);
      });
}

// Without a credential it tells no more than a probe needs.
void ready(const Parts& parts, const Request& request, const Responder& responder) {
  const bool store = parts.loop.store_well();
  const bool broker = parts.loop.broker_up();
  std::string body;
  if (request.principal.role.empty()) {
    return responder.answer(
        json_reply(store && broker ? 200 : 503, store && broker ? R"({"ready":true})" : R"({"ready":false})"));
  }
  {
    json::ObjectWriter object(body);
    object.boolean("store", store);
    object.boolean("broker", broker);
    const std::string full = parts.loop.disk_notice();
    const std::size_t held = parts.loop.held();
    if (held > 0) object.unsigned_integer("held", held);
    if (!full.empty()) object.boolean("disk_low", true);
    std::string notice = held > 0 ? held_notice(held) : std::string();
    if (!full.empty()) notice += (notice.empty() ? "" : "; ") + full;
    if (!notice.empty()) object.string("notice", notice);
  }
  responder.answer(json_reply(store && broker ? 200 : 503, body));
}

void health(const Request&, const Responder& responder) { responder.answer(json_reply(200, R"({"status":"ok"})")); }

}  // namespace

void add_health_route(Routes& routes) {
  routes.push_back({"GET", "/health", "getHealth", "Liveness: the process answers", "", health, true});
}

void add_fleet_routes(Routes& routes, const Parts& parts) {
  add_health_route(routes);
  const auto with = [&](auto handler) {
    return http_server::Handler(
        [parts, handler](const Request& request, const Responder& responder) { handler(parts, request, responder); });
  };
  const http_server::Handler capabilities = [parts, view = recent_capabilities()](const Request&, const Responder& r) {
    show(parts, r, view);
  };
  // clang-format off
  routes.push_back({"GET", "/ready", "getReady", "Readiness: the store and the broker work", "", with(ready), true});
  routes.push_back({"GET", "/api/v1/agents", "listAgents", "All agents", "observe", with(list)});
  routes.push_back({"GET", "/api/v1/agents/{name}", "getAgent", "One agent and what it runs", "observe", with(get)});
  routes.push_back({"POST", "/api/v1/agents/{name}/drain", "drainAgent", "Stop giving new tasks to an agent", "operate", with(drain)});
  routes.push_back({"POST", "/api/v1/agents/{name}/resume", "resumeAgent", "End a drain", "operate", with(resume)});
  routes.push_back({"POST", "/api/v1/agents/{name}/reload", "reloadAgent", "Let an agent read its configuration again", "operate", with(reload)});
  routes.push_back({"POST", "/api/v1/agents/{name}/forget", "forgetAgent", "Remove an agent that is lost or offline from the list; one with a certificate is revoked", "admin", with(forget)});
  routes.push_back({"GET", "/api/v1/capabilities", "listCapabilities", "What the fleet offers, with the parameters of each", "observe", capabilities});
  routes.push_back({"GET", "/api/v1/queue", "getQueue", "How many tasks wait, for which capability, and why", "observe", with(queue)});
  routes.push_back({"POST", "/api/v1/release", "releaseTasks", "Release the tasks that are held after a restore", "operate", with(release)});
  // clang-format on
}

}  // namespace edgefleet::coordinator
