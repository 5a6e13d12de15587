#include "coordinator/closed_mode.hpp"

#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <set>
#include <thread>
#include <utility>

#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/end_clock.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/broker_canaries.hpp"
#include "coordinator/core/submitter.hpp"
#include "coordinator/http/agents/gate.hpp"
#include "coordinator/http/agents/routes.hpp"
#include "coordinator/http/api/publishing.hpp"
#include "coordinator/http/host.hpp"
#include "coordinator/http/site/refuse.hpp"
#include "coordinator/http/site/unknown_endpoint.hpp"
#include "coordinator/shell/away.hpp"
#include "coordinator/shell/session_end.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration revocation_patience = std::chrono::seconds(10);  // it takes about one
constexpr std::size_t most_unheard = 1000;  // names of agents whose messages were dropped
constexpr Duration look_again = std::chrono::milliseconds(100);

bool clock_is_synchronised() {
  timex state{};
  return ::adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

// Whether an agent that has a session may go on: its enrolment, and the end of its certificate. Never waits.
enum class Standing { unknown, good, ended };
class Standings {
 public:
  explicit Standings(const Enrolment& enrolment) : enrolment_(enrolment), clock_(wall_now(), monotonic_now()) {}
  [[nodiscard]] Standing of(const std::string& agent) const {
    const auto enrolled = enrolment_.find(agent);
    if (!enrolled) return Standing::unknown;
    const auto date = clock_.date(wall_now(), monotonic_now(), clock_is_synchronised);
    return date < enrolled->not_after ? Standing::good : Standing::ended;
  }

 private:
  const Enrolment& enrolment_;
  const EndClock clock_;
};

mqtt::TlsFiles tls_files(const ClosedFleet& closed, const std::string& name) {
  const auto files = certificate_files(closed.directory(), name);
  return {ca_file(closed.directory()), files.certificate, files.key};
}

void log_reload(const Status& reloaded) {
  reloaded ? log::info("a new certificate is used for new connections") : log::warning(reloaded.error().message);
}

// A certificate of the agent's name, for as long as its session takes to be ended.
Status take_session_over(const ClosedFleet& closed, const std::string& agent, mqtt::Options broker, Duration patience) {
  const auto certificate = BriefCertificate::make(closed, agent);
  if (!certificate) return certificate.error();
  certificate->use(broker);
  broker.client_id = agent;
  broker.will.reset();
  return end_session(broker, mqtt::make_paho_client, patience);
}

// Ends sessions whose certificate has ended.
class EndedSessions {
 public:
  EndedSessions(ClosedFleet& closed, const mqtt::Options& broker)
      : closed_(closed), broker_(broker), standings_(closed.enrolment()) {}

  void end(const std::string& name) {
    const Time now = monotonic_now();
    std::erase_if(done_, [&](const auto& entry) { return now - entry.second > still_underway; });
    // It has joined anew meanwhile, or what was heard is from before its session was ended.
    if (standings_.of(name) != Standing::ended || done_.contains(name)) return;
    const auto ended = take_session_over(closed_, name, broker_, revocation_patience);
    if (ended) done_[name] = monotonic_now();
    log::warning("the certificate of agent " + name + " has ended" +
                 (ended ? ", and now its session at the broker: on that machine, `edgefleet-agent join --again`"
                        : "; its session at the broker could not be ended: " + ended.error().message));
  }

 private:
  static constexpr Duration still_underway = std::chrono::seconds(10);  // messages

  ClosedFleet& closed_;
  const mqtt::Options& broker_;
  const Standings standings_;
  std::map<std::string, Time> done_;
};

// Its tasks are taken away when the broker has said that it is gone; then it is forgotten.
Status forget_when_gone(Loop& loop, const AgentName& agent, Time until) {
  for (;;) {
    auto answered = std::make_shared<std::promise<std::optional<Error>>>();
    auto answer = answered->get_future();
    loop.forget(agent, [answered](const Result<AgentName>& forgotten) {
      answered->set_value(forgotten ? std::nullopt : std::optional(forgotten.error()));
    });
    if (answer.wait_for(until - monotonic_now() + std::chrono::seconds(1)) != std::future_status::ready) break;
    const auto failure = answer.get();
    if (!failure || failure->kind == ErrorKind::not_found) return success();
    if (monotonic_now() >= until) return failure->context("its certificate and session have ended");
    std::this_thread::sleep_for(look_again);
  }
  return Error{"its certificate and session have ended; the coordinator is too busy to forget it",
               ErrorKind::unavailable};
}

// One whose certificate is revoked already.
Status end_agent(ClosedFleet& closed, Loop& loop, const mqtt::Options& broker, const std::string& name, Time until) {
  const auto generation = closed.publish();
  if (!generation) return generation.error().context("the certificate is revoked here, and not yet at the broker");
  if (auto taken = closed.await_broker(*generation, until - monotonic_now()); !taken) return taken;
  if (auto ended = take_session_over(closed, name, broker, until - monotonic_now()); !ended) {
    return ended.error().context("the certificate is revoked; its present session could not be ended");
  }
  if (auto noted = closed.enrolment().session_ended(name); !noted) return noted;
  // Another machine has the name now.
  return closed.enrolment().has(name) ? success() : forget_when_gone(loop, *AgentName::parse(name), until);
}

Status revoke(ClosedFleet& closed, Loop& loop, const mqtt::Options& broker, const std::string& who,
              const std::string& name, const std::string& serial) {
  const Time until = monotonic_now() + revocation_patience;
  if (auto revoked = closed.enrolment().revoke(who, name, serial); !revoked) return revoked;
  log::info((serial.empty() ? "" : "certificate " + serial + " of ") + "agent " + name + " is revoked by " + who);
  return end_agent(closed, loop, broker, name, until);
}

bool end_session_left(ClosedFleet& closed, Loop& loop, const mqtt::Options& broker, const std::string& name) {
  const auto ended = end_agent(closed, loop, broker, name, monotonic_now() + revocation_patience);
  if (!ended) log::warning("agent " + name + ": " + ended.error().message + "; trying again");
  return ended.ok();
}

// Older data was put in place without `restore`.
void take_over(ClosedFleet& closed, Loop& loop, const mqtt::Options& broker, const std::string& list) {
  const auto names = closed.unite(list);
  if (!names) return log::warning("the list of revoked certificates at the broker: " + names.error().message);
  if (const auto published = closed.publish(); !published) log::warning(published.error().message);
  for (const auto& name : *names) {
    log::warning("agent " + name + " was revoked after the time of this data, and stays revoked");
    const auto ended = end_agent(closed, loop, broker, name, monotonic_now() + revocation_patience);
    if (!ended) log::warning("agent " + name + ": " + ended.error().message);
  }
}

http_server::Site agents_site(const Parts& parts) {
  Routes routes;
  add_agents_routes(routes, parts);
  const auto router = std::make_shared<const http_server::Router>(std::move(routes));
  const AgentsGate gate(parts.closed->enrolment(), parts.closed->refusals());
  return {router,
          [gate](const http_server::Request& head, const http_server::Route* route) { return gate.judge(head, route); },
          [router](http_server::Problem problem, const http_server::ReplyContext& context) {
            if (problem.detail.empty()) {
              problem.detail =
                  explain_unknown(context.method, context.path, router->routes()) + "; this is the port of agents";
            }
            return refuse(problem, context.path);
          },
          [gate](const http_server::Principal& principal) { return gate.still_allowed(principal); }};
}

}  // namespace

void LeftWork::add_list(const std::string& pem) {
  const std::lock_guard lock(mutex_);
  work_.list = pem;
  added_.notify_all();
}

void LeftWork::add_unheard(const AgentName& agent) {
  const std::lock_guard lock(mutex_);
  if (work_.unheard.size() < most_unheard) work_.unheard.push_back(agent.str());
  added_.notify_all();
}

void LeftWork::add_ended(const AgentName& agent) {
  const std::lock_guard lock(mutex_);
  if (work_.ended.size() < most_unheard) work_.ended.insert(agent.str());
  added_.notify_all();
}

LeftWork::Work LeftWork::next(const std::stop_token& stop, Duration patience) {
  std::unique_lock lock(mutex_);
  added_.wait_for(lock, stop, patience,
                  [&] { return work_.list.has_value() || !work_.unheard.empty() || !work_.ended.empty(); });
  return std::exchange(work_, {});
}

void take_setup(Loop::Options& options, ClosedFleet& closed, LeftWork& work, Admission::Knows knows) {
  options.revocations = {[&closed] { return closed.published_list(); },
                         [&work](const std::string& pem) { work.add_list(pem); }};
  const Setup& setup = closed.setup();
  options.fleet = setup.fleet;
  options.broker.broker =
      "mqtts://" + in_url(broker_for_coordinator(setup)) + ":" + std::to_string(setup.broker_agents_port);
  options.broker.tls = tls_files(closed, "coordinator");
  options.watch_tls = tls_files(closed, "watch");
  const auto admission =
      std::make_shared<Admission>(closed.accesses(), closed.enrolment(), closed.refusals(), std::move(knows));
  options.submitter_of = [admission](const std::string& client) { return admission->submitter_of(client); };
  options.submitter_rules = {[admission](const std::string& submitter, const SubmitterRules::Specs& specs) {
                               return admission->may_submit(std::string(client_of(submitter)), specs, monotonic_now());
                             },
                             [admission](const std::string& submitter) {
                               return admission->tokens_per_day(std::string(client_of(submitter)));
                             }};
  options.policy.count_tokens = true;
  options.agent_rules = {[standings = Standings(closed.enrolment()), &work,
                          unheard = std::set<AgentName>()](const AgentName& agent) mutable {
                           const auto standing = standings.of(agent.str());
                           const bool enrolled = standing == Standing::good;
                           if (standing == Standing::ended) {
                             work.add_ended(agent);
                           } else if (!enrolled && unheard.size() < most_unheard) {
                             unheard.insert(agent);
                           }
                           if (enrolled && unheard.erase(agent) > 0) work.add_unheard(agent);
                           return enrolled;
                         },
                         [admission](const AgentName& agent, const Capability& capability) {
                           return admission->may_offer(agent, capability);
                         }};
}

std::function<Status(const std::string&, const std::string&, const std::string&)> revoker(ClosedFleet& closed,
                                                                                          Loop& loop,
                                                                                          mqtt::Options broker) {
  return [&closed, &loop, broker = std::move(broker)](const std::string& who, const std::string& name,
                                                      const std::string& serial) {
    return revoke(closed, loop, broker, who, name, serial);
  };
}

// Before the new machine has its certificate, so that its own session is not the one that is ended.
std::function<void(const std::string&)> join_settler(ClosedFleet& closed, Loop& loop, mqtt::Options broker) {
  return [&closed, &loop, broker = std::move(broker)](const std::string& name) {
    if (!closed.enrolment().has_session_to_end(name)) return publish_later_if_needed(closed);
    (void)end_session_left(closed, loop, broker, name);
  };
}

Result<http_server::ListenAddress> listen_for_agents(http_server::Server& server, const Parts& parts) {
  const ClosedFleet& closed = *parts.closed;
  const auto address = http_server::parse_listen(closed.setup().agents_listen);
  if (!address) return address.error();
  const auto files = certificate_files(closed.directory(), "agents");
  auto tls = http_server::Tls::load({files.certificate, files.key, ca_file(closed.directory())},
                                    http_server::ClientCertificate::asked, log_reload);
  if (!tls) return tls.error();
  return server.listen(*address, agents_site(parts), *tls);
}

Result<std::shared_ptr<http_server::Tls>> people_tls(const ClosedFleet& closed) {
  const auto files = certificate_files(closed.directory(), "people");
  return http_server::Tls::load({files.certificate, files.key, {}}, http_server::ClientCertificate::not_asked,
                                log_reload);
}

// Its certificate is not known any more, and its name is free; nothing is left of it at the broker either.
void EphemeralAgents::forget(const std::string& name) {
  silent_since_.erase(name);
  if (auto forgotten = closed_.enrolment().forget(name); !forgotten) return log::warning(forgotten.error().message);
  log::info("the ephemeral agent " + name + " is gone and forgotten");
  loop_.forget(*AgentName::parse(name), [](const Result<AgentName>&) {});
}

void EphemeralAgents::look(Time now) {
  const auto names = closed_.enrolment().ephemeral();
  const auto found = names.empty() ? std::optional<Away>(Away{}) : who_is_away(loop_, names);
  if (!found) return;
  std::map<std::string, Time> silent;
  for (const auto& name : found->silent) {
    const auto before = silent_since_.find(name);
    silent[name] = before == silent_since_.end() ? now : before->second;
  }
  silent_since_ = std::move(silent);
  for (const auto& name : found->stopped) forget(name);
  for (const auto& [name, since] : std::map(silent_since_)) {
    if (now - since >= longest_silence) forget(name);
  }
}

void maintain(const std::stop_token& stop, ClosedFleet& closed, Loop& loop, const mqtt::Options& broker,
              LeftWork& work) {
  EphemeralAgents ephemeral(closed, loop);
  EndedSessions sessions(closed, broker);
  const Duration pause = closed.maintenance_pause();
  Time last = monotonic_now();
  std::optional<Time> tried;  // to end sessions that were left
  WallTime looked = wall_now();
  while (!stop.stop_requested()) {
    const auto left = work.next(stop, std::chrono::seconds(1));
    if (left.list) take_over(closed, loop, broker, *left.list);
    for (const auto& name : left.unheard) {
      const auto ended = take_session_over(closed, name, broker, revocation_patience);
      if (!ended) log::warning("agent " + name + " has to be started again: " + ended.error().message);
    }
    for (const auto& name : left.ended) sessions.end(name);
    if (stop.stop_requested()) break;
    ephemeral.look(monotonic_now());
    if (!tried || monotonic_now() - *tried >= pause) {
      tried = monotonic_now();
      for (const auto& name : closed.enrolment().sessions_to_end()) {
        if (!end_session_left(closed, loop, broker, name)) break;  // so it would be with the next ones
      }
    }
    const WallTime before = std::exchange(looked, wall_now());
    // An access that ends leaves the broker at once.
    if (monotonic_now() - last < pause && !closed.accesses().has_ended_between(before, looked)) continue;
    last = monotonic_now();
    const auto fresh = closed.maintain();
    if (!fresh) {
      log::warning(fresh.error().message);
      continue;
    }
    for (const auto& name : *fresh) log::info("the certificate " + name + " was renewed");
  }
  (void)closed.write_refusals();
}

}  // namespace edgefleet::coordinator
