// Machines that join, as people and programs see and steer them: /api/v1/join-tokens, /api/v1/join-requests,
// /api/v1/enrolled-agents, and what a client must know of a closed fleet: /api/v1/ca, /api/v1/access.
#include <algorithm>
#include <memory>
#include <mutex>
#include <set>

#include "common/join/token.hpp"
#include "common/protocol/fields.hpp"
#include "common/protocol/topics.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/api/publishing.hpp"
#include "coordinator/http/host.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration longest_ttl = std::chrono::hours(24 * 365);
constexpr Duration usual_ttl = std::chrono::hours(1);
constexpr Duration broker_patience = std::chrono::seconds(10);
constexpr Duration look_at_broker = std::chrono::milliseconds(50);

// {"NAME": [...]}
template <typename Rows, typename WriteRow>
Reply list_reply(std::string_view name, const Rows& rows, WriteRow write_row) {
  std::string body;
  {
    json::ObjectWriter answer(body);
    json::ArrayWriter array(answer.key(name));
    for (const auto& row : rows) {
      json::ObjectWriter object(array.next());
      write_row(object, row);
    }
  }
  return json_reply(200, body);
}

Reply name_reply(const std::string& name) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("name", name);
  }
  return json_reply(200, body);
}

// ---- join tokens

struct WantedToken {
  JoinToken token;
  std::optional<Duration> ttl = usual_ttl;
};

Result<WantedToken> read_wanted_token(const std::string& body) {
  auto fields = json::Fields::untrusted(body.empty() ? std::string_view("{}") : std::string_view(body));
  fields.allow({"uses", "ttl_ms", "name", "capabilities", "ephemeral"});
  WantedToken wanted;
  wanted.token.uses = fields.integer("uses", 0, 100'000).value_or(1);
  wanted.ttl = fields.milliseconds("ttl_ms", Duration{0}, longest_ttl).value_or(usual_ttl);
  if (wanted.ttl == Duration{0}) wanted.ttl.reset();
  wanted.token.ephemeral = fields.boolean("ephemeral").value_or(false);
  wanted.token.name = fields.string("name").value_or("");
  wanted.token.capabilities = fields.strings("capabilities");
  if (!fields.ok()) return fields.error();
  return wanted;
}

// The addresses under which the port for agents can be reached, the one that this request has used first.
std::vector<std::string> agents_addresses(const ClosedFleet& closed, const Request& request) {
  const std::string port = port_of_listener(closed.setup().agents_listen);
  std::vector<std::string> names = closed.setup().names;
  const std::string used = known_host_of(closed.setup(), request);
  std::stable_partition(names.begin(), names.end(), [&](const std::string& name) { return name == used; });
  if (names.size() > join::most_addresses) names.resize(join::most_addresses);
  for (std::string& name : names) name = in_url(name) + ":" + port;
  return names;
}

Reply create_token(ClosedFleet& closed, const Request& request) {
  const auto wanted = read_wanted_token(request.body);
  if (!wanted) return problem(wanted.error());
  const auto made = closed.enrolment().create_token(request.principal.name, wanted->token, wanted->ttl);
  if (!made) return problem(made.error());
  const join::Token token{made->secret, closed.authority().certificate().fingerprint(),
                          agents_addresses(closed, request)};
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("id", made->token.id);
    object.string("token", join::encode(token));
    object.string("expires_at", rfc3339(made->token.expires));
    object.integer("uses", made->token.uses);
  }
  return json_reply(201, body);
}

Reply list_tokens(ClosedFleet& closed, const Request&) {
  const auto tokens = closed.enrolment().tokens();
  if (!tokens) return problem(tokens.error());
  return list_reply("join_tokens", *tokens, [](json::ObjectWriter& object, const JoinToken& token) {
    object.string("id", token.id);
    object.integer("uses", token.uses);
    object.integer("used", token.used);
    object.string("expires_at", rfc3339(token.expires));
    if (!token.name.empty()) object.string("name", token.name);
    if (token.ephemeral) object.boolean("ephemeral", true);
    object.strings("capabilities", token.capabilities);
    object.string("created_by", token.created_by);
  });
}

Reply revoke_token(ClosedFleet& closed, const Request& request) {
  const std::string& id = request.capture("id");
  const auto revoked = closed.enrolment().revoke_token(request.principal.name, id);
  return revoked ? accepted_object("id", id, "revoked") : problem(revoked.error());
}

// ---- requests to join

Reply list_requests(ClosedFleet& closed, const Request&) {
  const auto waiting = closed.join_requests().waiting(monotonic_now());
  const WallTime now = wall_now();
  return list_reply("join_requests", waiting, [&](json::ObjectWriter& object, const JoinRequests::Listed& one) {
    object.string("name", one.name);
    object.string("address", one.address);
    if (!one.machine.empty()) object.string("machine", one.machine);
    object.string("asked_at", rfc3339(WallTime{now.unix_ms - to_ms(one.age)}));
  });
}

Result<JoinRequests::Asking> asking_of(ClosedFleet& closed, const Request& request) {
  auto fields = json::Fields::untrusted(request.body);
  fields.allow({"code"});
  fields.require("code");
  const std::string code = fields.string("code").value_or("");
  if (!fields.ok()) return fields.error();
  return closed.join_requests().find(code, monotonic_now());
}

Reply accept_request(const Parts& parts, const Request& request) {
  ClosedFleet& closed = *parts.closed;
  const auto asking = asking_of(closed, request);
  if (!asking) return problem(asking.error());
  auto agent = closed.enrolment().accept(request.principal.name, asking->key, asking->machine);
  if (!agent) return problem(agent.error());
  parts.settle_join(agent->name);
  const std::string name = agent->name;
  closed.join_requests().accept(asking->id, std::move(*agent));
  return name_reply(name);
}

Reply refuse_request(ClosedFleet& closed, const Request& request) {
  const auto asking = asking_of(closed, request);
  if (!asking) return problem(asking.error());
  closed.join_requests().refuse(asking->id);
  const auto noted = closed.accesses().database().audit(
      {wall_now(), request.principal.name, "join-request.refuse", asking->machine.name});
  return noted ? name_reply(asking->machine.name) : problem(noted.error());
}

Reply list_enrolled(ClosedFleet& closed, const Request&) {
  return list_reply("enrolled_agents", closed.enrolment().agents(),
                    [](json::ObjectWriter& object, const EnrolledAgent& agent) {
                      object.string("name", agent.name);
                      object.string("enrolled_at", rfc3339(agent.enrolled));
                      object.string("certificate_ends_at", rfc3339(WallTime{agent.not_after * 1000}));
                      object.string("serial", agent.serial);
                      if (agent.ephemeral) object.boolean("ephemeral", true);
                      object.strings("capabilities", agent.capabilities);
                    });
}

// ---- agents from after the backup that the store was restored from

Reply list_unknown(ClosedFleet& closed, const Request&) {
  return list_reply("unknown_agents", closed.enrolment().unknown(),
                    [](json::ObjectWriter& object, const UnknownAgent& agent) {
                      object.string("name", agent.name);
                      object.string("serial", agent.serial);
                      if (!agent.address.empty()) object.string("address", agent.address);
                      object.string("seen_at", rfc3339(agent.seen));
                      object.string("certificate_ends_at", rfc3339(WallTime{agent.not_after * 1000}));
                    });
}

Reply readmit(const Parts& parts, const Request& request) {
  auto fields = json::Fields::untrusted(request.body.empty() ? std::string_view("{}") : std::string_view(request.body));
  fields.allow({"serial"});
  const std::string serial = fields.string("serial").value_or("");
  if (!fields.ok()) return problem(fields.error());
  const auto agent = parts.closed->enrolment().readmit(request.principal.name, request.capture("name"), serial);
  if (!agent) return problem(agent.error());
  parts.settle_join(agent->name);
  return name_reply(agent->name);
}

Reply revoke(const Parts& parts, const Request& request) {
  auto fields = json::Fields::untrusted(request.body.empty() ? std::string_view("{}") : std::string_view(request.body));
  fields.allow({"serial"});
  const std::string serial = fields.string("serial").value_or("");
  if (!fields.ok()) return problem(fields.error());
  const std::string& name = request.capture("name");
  const auto revoked = parts.revoke_agent(request.principal.name, name, serial);
  return revoked ? name_reply(name) : problem(revoked.error());
}

// ---- the caller

// As other machines reach the API: the name that was used, unless it leads only to this machine.
std::string url_for_others(const ClosedFleet& closed, const Request& request) {
  const Setup& setup = closed.setup();
  const std::string used = known_host_of(setup, request);
  const bool given = std::ranges::find(setup.names, used) != setup.names.end();
  return "https://" + in_url(given ? used : setup.names.front()) + ":" + port_of_listener(setup.listen);
}

// `unfinished`: what the tasks of the access cost that have no outcome.
Reply own_access(ClosedFleet& closed, const Request& request, const Clients::Cost& unfinished,
                 std::uint64_t tokens_today) {
  const auto access = closed.accesses().named(request.principal.name);
  if (!access) return problem(Error{"this access has been revoked", ErrorKind::not_found});
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("name", access->name);
    object.string("role", to_string(access->role));
    object.strings("models", access->limits.models);
    object.strings("capabilities", access->limits.capabilities);
    if (access->limits.tokens_per_day > 0) object.integer("tokens_per_day", access->limits.tokens_per_day);
    object.unsigned_integer("tokens_today", tokens_today);
    if (access->limits.expires) object.string("expires_at", rfc3339(*access->limits.expires));
    object.string("url", url_for_others(closed, request));
    {
      json::ObjectWriter cost(object.key("unfinished"));
      cost.unsigned_integer("tasks", unfinished.tasks);
      cost.unsigned_integer("bytes", unfinished.bytes);
      cost.unsigned_integer("file_bytes", unfinished.file_bytes);
      cost.unsigned_integer("tokens", unfinished.tokens);
    }
    json::ObjectWriter mqtt(object.key("mqtt"));
    mqtt.string("host", broker_for_others(closed.setup(), known_host_of(closed.setup(), request)));
    mqtt.integer("port", closed.setup().broker_people_port);
    mqtt.string("root", protocol::Topics(closed.setup().fleet).root());
  }
  return json_reply(200, body);
}

void show_own_access(const Parts& parts, const Request& request, const Responder& responder) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  using Seen = std::pair<Clients::Cost, std::uint64_t>;
  look<Seen>(
      parts.loop, responder,
      [client = std::string(client_of(request.principal.name))](const State& state, Now now) {
        return Seen{state.clients.cost(client), state.budgets.used(client, day_of(now.wall))};
      },
      [parts, request, responder](const Result<Seen>& seen) {
        responder.answer(seen ? own_access(*parts.closed, request, seen->first, seen->second) : problem(seen.error()));
      });
}

// ---- an access for one program at the broker

// One at a time for each owner: to write the broker's files takes a thread, and the broker a second or two.
class BrokerWaits {
 public:
  using Place = std::shared_ptr<const std::string>;  // given back when the last copy is gone

  // nullptr: the owner has one that waits.
  static Place take(const std::shared_ptr<BrokerWaits>& waits, const std::string& owner) {
    const std::lock_guard lock(waits->mutex_);
    if (!waits->owners_.insert(owner).second) return nullptr;
    return {new std::string(owner), [waits](const std::string* taken) {
              const std::lock_guard ending(waits->mutex_);
              waits->owners_.erase(*taken);
              delete taken;
            }};
  }

 private:
  std::mutex mutex_;
  std::set<std::string> owners_;
};

Reply mqtt_access_reply(const NewKey& made) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("name", made.name);
    object.string("key", made.key);
    object.string("role", to_string(made.role));
    object.string("expires_at", rfc3339(*made.expires));
  }
  return json_reply(201, body);
}

// No thread waits with it.
void answer_when_broker_has(const ClosedFleet& closed, const std::string& generation, Time until, const NewKey& made,
                            const BrokerWaits::Place& place, const Responder& responder) {
  const Status taken = closed.await_broker(generation, Duration{0});
  if (taken) return responder.answer(mqtt_access_reply(made));
  if (monotonic_now() >= until) return responder.answer(problem(taken.error()));
  responder.after(look_at_broker, [&closed, generation, until, made, place, responder] {
    answer_when_broker_has(closed, generation, until, made, place, responder);
  });
}

void create_mqtt_access(ClosedFleet& closed, const std::shared_ptr<BrokerWaits>& waits, const std::string& owner,
                        Time until, const Responder& responder) {
  const auto place = BrokerWaits::take(waits, owner);
  if (!place && monotonic_now() >= until) {
    return responder.answer(
        problem(Error{owner + " waits for the broker to take another such access; try again later", ErrorKind::busy}));
  }
  if (!place) {
    return responder.after(look_at_broker, [&closed, waits, owner, until, responder] {
      create_mqtt_access(closed, waits, owner, until, responder);
    });
  }
  const auto made = closed.accesses().create_mqtt_access(owner);
  if (!made) return responder.answer(problem(made.error()));
  const auto published = closed.publish();
  if (!published) return responder.answer(problem(published.error()));
  answer_when_broker_has(closed, *published, monotonic_now() + broker_patience, *made, place, responder);
}

}  // namespace

Reply ca_reply(const ClosedFleet& closed) {
  return {200, closed.authority().certificate().pem(), "application/x-pem-file", {}, {}};
}

void add_joining_routes(Routes& routes, const Parts& parts) {
  const auto with_parts = [parts](Reply (*handler)(const Parts&, const Request&)) {
    return http_server::answer_with([parts, handler](const Request& request) {
      return parts.closed == nullptr ? needs_setup() : handler(parts, request);
    });
  };
  const auto with = [closed = parts.closed](Reply (*handler)(ClosedFleet&, const Request&)) {
    if (closed == nullptr) return http_server::answer_with([](const Request&) { return needs_setup(); });
    return http_server::answer_with([closed, handler](const Request& request) { return handler(*closed, request); });
  };
  const auto own_access = [parts](const Request& request, const Responder& responder) {
    if (parts.closed == nullptr) return responder.answer(needs_setup());
    show_own_access(parts, request, responder);
  };
  const auto mqtt_access = [closed = parts.closed, waits = std::make_shared<BrokerWaits>()](
                               const Request& request, const Responder& responder) {
    if (closed == nullptr) return responder.answer(needs_setup());
    create_mqtt_access(*closed, waits, request.principal.name, monotonic_now() + broker_patience, responder);
  };
  // clang-format off
  routes.push_back({"GET", "/api/v1/ca", "getCa", "The certificate of the fleet's certification authority", "", with([](ClosedFleet& closed, const Request&) { return ca_reply(closed); })});
  routes.push_back({"GET", "/api/v1/access", "getOwnAccess", "The caller's own access", "any", own_access});
  routes.push_back({"POST", "/api/v1/access/mqtt", "createMqttAccess", "An access of an hour for one program at the broker; its key is in this answer only", "any", mqtt_access});
  routes.push_back({"POST", "/api/v1/join-tokens", "createJoinToken", "Make a join token; it is in this answer only", "admin", with(create_token)});
  routes.push_back({"GET", "/api/v1/join-tokens", "listJoinTokens", "Join tokens that have not ended, without their secrets", "admin", with(list_tokens)});
  routes.push_back({"POST", "/api/v1/join-tokens/{id}/revoke", "revokeJoinToken", "End a join token", "admin", with(revoke_token)});
  routes.push_back({"GET", "/api/v1/join-requests", "listJoinRequests", "Machines that wait to be accepted, without their codes", "admin", with(list_requests)});
  routes.push_back({"POST", "/api/v1/join-requests/accept", "acceptJoinRequest", "Accept the machine that shows this code", "admin", with_parts(accept_request)});
  routes.push_back({"POST", "/api/v1/join-requests/refuse", "refuseJoinRequest", "Refuse the machine that shows this code", "admin", with(refuse_request)});
  routes.push_back({"GET", "/api/v1/enrolled-agents", "listEnrolledAgents", "Agents with a certificate", "operate", with(list_enrolled)});
  routes.push_back({"GET", "/api/v1/unknown-agents", "listUnknownAgents", "Agents with a certificate of this fleet that the store does not know, after a restore", "operate", with(list_unknown)});
  routes.push_back({"POST", "/api/v1/agents/{name}/readmit", "readmitAgent", "Enrol such an agent as it is", "admin", with_parts(readmit)});
  routes.push_back({"POST", "/api/v1/agents/{name}/revoke", "revokeAgent", "End an agent's certificate and session; its tasks go elsewhere", "admin", with_parts(revoke)});
  // clang-format on
}

}  // namespace edgefleet::coordinator
