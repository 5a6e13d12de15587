// agents, agents forget, agents reload, agent, drain, resume, queue, release.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/commands/poller.hpp"
#include "cli/commands/subcommand.hpp"
#include "cli/core/access_view.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/fleet_view.hpp"
#include "cli/core/times.hpp"
#include "common/core/nearest.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

std::string checked_name(const std::string& text) { return checked("NAME", parse_agent_name(text)).str(); }

using Show = std::string (*)(const Document& answer, const Look& look);

struct Change {
  const char* verb;
  Show show;
};
constexpr Change drain{"drain", show_drained};
constexpr Change resume{"resume", show_drained};
constexpr Change forget{"forget", [](const Document& answer, const Look&) {
                          return printable(text_of(answer, "name") + "  " + text_of(answer, "state"));
                        }};

// With the nearest name of an agent, if there is none of this name.
Exit fail_for(Session& session, const std::string& name, const Error& error) {
  if (error.kind != ErrorKind::not_found) return session.fail(error);
  const auto body = session.get("/api/v1/agents");
  const auto answer = body ? read_answer(*body) : Result<Document>(body.error());
  std::vector<std::string> names;
  if (answer) {
    for (const auto& agent : member_of(*answer, "agents")) names.push_back(text_of(agent, "name"));
  }
  const auto near = nearest(name, names);
  return session.fail(error.message + (near && *near != name ? "; did you mean " + *near + "?" : ""),
                      Exit::coordinator);
}

Exit change(const std::vector<std::string>& names, const Change& what, Session& session) {
  auto exit = Exit::ok;
  for (const auto& name : names) {
    const auto body = session.post("/api/v1/agents/" + name + "/" + what.verb);
    const auto one = body ? present(session, body, what.show) : fail_for(session, name, body.error());
    if (one != Exit::ok) exit = one;
    if (!body && body.error().kind == ErrorKind::unavailable) break;
  }
  return exit;
}

// An agent reads a file and starts executors; the rest is the way there and back.
constexpr Duration reload_patience = std::chrono::seconds(15);
constexpr Duration reload_pause = std::chrono::milliseconds(100);

Exit show_outcome(Session& session, const std::string& body, const Document& agent) {
  const auto problem = reload_of(agent).problem;
  if (problem.empty()) return present(session, Result<std::string>(body), show_reload);
  if (session.json()) session.print(body);
  return session.fail(printable(text_of(agent, "name") + " keeps its configuration: " + problem), Exit::task_failed);
}

// `order`: the answer to the order.
Exit await_reload(Session& session, const std::string& name, const Document& order, const Interrupt& interrupt) {
  const Time until = monotonic_now() + reload_patience;
  while (pause(interrupt.token(), reload_pause)) {
    const auto body = session.get("/api/v1/agents/" + name);
    if (!body) return session.fail(body.error());
    const auto agent = read_answer(*body);
    if (!agent) return session.fail(agent.error());
    const auto state = text_of(*agent, "state");
    if (state == "lost" || state == "offline") {
      return session.fail(name + " is " + state + ", and has not reported", Exit::coordinator);
    }
    if (text_of(*agent, "session") != text_of(order, "session")) {
      return session.fail(name + " was restarted, and so has read its configuration", Exit::coordinator);
    }
    if (reload_of(*agent).reloads > count_of(order, "reloads")) return show_outcome(session, *body, *agent);
    if (monotonic_now() >= until) {
      return session.fail(name + " has not reported for " + show_duration(reload_patience) +
                              "; look later: " + session.hint("agent " + name),
                          Exit::unfinished);
    }
  }
  return interrupt.exit();
}

Exit reload(const std::vector<std::string>& names, Session& session) {
  const Interrupt interrupt;
  auto exit = Exit::ok;
  for (const auto& name : names) {
    const auto body = session.post("/api/v1/agents/" + name + "/reload");
    const auto order = body ? read_answer(*body) : Result<Document>(body.error());
    const auto one = order ? await_reload(session, name, *order, interrupt) : fail_for(session, name, order.error());
    if (one != Exit::ok) exit = one;
    if (interrupt.happened() || (!order && order.error().kind == ErrorKind::unavailable)) break;
  }
  return exit;
}

using DoIt = std::function<Exit(const std::vector<std::string>& names, Session& session)>;

Run declare_for_names(CLI::App& app, const DoIt& run) {
  auto names = std::make_shared<std::vector<std::string>>();
  const auto read = [names](const std::vector<std::string>& texts) {
    for (const auto& text : texts) names->push_back(checked_name(text));
  };
  app.add_option_function<std::vector<std::string>>("NAME", read, "names of agents, as listed by edgefleet agents")
      ->required()
      ->type_name("");
  return [names, run](Session& session) { return run(*names, session); };
}

Run declare_change(CLI::App& app, const Change& what) {
  return declare_for_names(app, [what](const auto& names, Session& session) { return change(names, what, session); });
}

// ---- machines that wait to be accepted

Run declare_code(CLI::App& app, const char* verb, const char* done) {
  auto code = std::make_shared<std::string>();
  app.add_option("CODE", *code, "the code that the new machine shows")->required()->type_name("");
  return [code, verb, done](Session& session) {
    std::string body;
    {
      json::ObjectWriter object(body);
      object.string("code", *code);
    }
    return present(session, session.post(std::string("/api/v1/join-requests/") + verb, body),
                   [done](const Document& answer, const Look&) { return printable(text_of(answer, "name")) + done; });
  };
}

// ---- agents from after the backup that the coordinator was restored from

Run declare_readmit(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  auto serial = std::make_shared<std::string>();
  app.add_option_function<std::string>(
         "NAME", [name](const std::string& text) { *name = checked_name(text); },
         "name of an agent, as listed by edgefleet agents unknown")
      ->required()
      ->type_name("");
  app.add_option("--serial", *serial, "of its certificate, if several have the name");
  return [name, serial](Session& session) {
    std::string body;
    {
      json::ObjectWriter object(body);
      if (!serial->empty()) object.string("serial", *serial);
    }
    return present(
        session, session.post("/api/v1/agents/" + *name + "/readmit", body),
        [](const Document& answer, const Look&) { return printable(text_of(answer, "name")) + "  readmitted"; });
  };
}

constexpr Change revoke{
    "revoke", [](const Document& answer, const Look&) { return printable(text_of(answer, "name")) + "  revoked"; }};

Run declare_revoke(CLI::App& app) {
  const Run all = declare_change(app, revoke);
  auto serial = std::make_shared<std::string>();
  app.add_option("--serial", *serial, "only this certificate, also one that the coordinator does not know");
  return [&app, all, serial](Session& session) {
    if (serial->empty()) return all(session);
    const auto names = app.get_option("NAME")->as<std::vector<std::string>>();
    if (names.size() > 1) return session.fail("--serial is of one agent", Exit::usage);
    std::string body;
    {
      json::ObjectWriter object(body);
      object.string("serial", *serial);
    }
    return present(session, session.post("/api/v1/agents/" + names.front() + "/revoke", body), revoke.show);
  };
}

}  // namespace

Run declare_agents(CLI::App& app) {
  auto* gone = add_subcommand(app, "forget", "Remove agents that are lost or offline from the list",
                              "edgefleet agents forget pi-old");
  auto* again =
      add_subcommand(app, "reload", "Let agents read their configuration files again, and wait for the outcome",
                     "edgefleet agents reload pi-1");
  std::map<const CLI::App*, Run> runs;
  runs[gone] = declare_change(*gone, forget);
  runs[again] = declare_for_names(*again, reload);
  const auto* waiting = add_subcommand(app, "waiting", "List the machines that ask to join and wait to be accepted",
                                       "edgefleet agents waiting");
  runs[waiting] = [](Session& session) {
    return present(session, session.get("/api/v1/join-requests"), show_join_requests);
  };
  auto* accepted =
      add_subcommand(app, "accept", "Accept the machine that shows this code", "edgefleet agents accept abcd-2345");
  runs[accepted] = declare_code(*accepted, "accept", "  accepted: it joins now");
  auto* refused =
      add_subcommand(app, "refuse", "Refuse the machine that shows this code", "edgefleet agents refuse abcd-2345");
  runs[refused] = declare_code(*refused, "refuse", "  refused");
  const auto* unknown = add_subcommand(app, "unknown", "List agents that the coordinator does not know after a restore",
                                       "edgefleet agents unknown");
  runs[unknown] = [](Session& session) {
    return present(session, session.get("/api/v1/unknown-agents"), show_unknown_agents);
  };
  auto* readmitted = add_subcommand(app, "readmit", "Enrol an agent that the coordinator does not know after a restore",
                                    "edgefleet agents readmit pi-7");
  runs[readmitted] = declare_readmit(*readmitted);
  auto* revoked = add_subcommand(app, "revoke", "End the certificates and sessions of agents; their tasks go elsewhere",
                                 "edgefleet agents revoke pi-7");
  runs[revoked] = declare_revoke(*revoked);
  app.require_subcommand(0, 1);
  return [&app, runs](Session& session) {
    if (!app.get_subcommands().empty()) return runs.at(app.get_subcommands().front())(session);
    return present(session, session.get("/api/v1/agents"), show_agents);
  };
}

Run declare_agent(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option_function<std::string>(
         "NAME", [name](const std::string& text) { *name = checked_name(text); },
         "name of an agent, as listed by edgefleet agents")
      ->required()
      ->type_name("");
  return [name](Session& session) {
    const auto body = session.get("/api/v1/agents/" + *name);
    return body ? present(session, body, show_agent) : fail_for(session, *name, body.error());
  };
}

Run declare_drain(CLI::App& app) { return declare_change(app, drain); }
Run declare_resume(CLI::App& app) { return declare_change(app, resume); }

Run declare_queue(CLI::App&) {
  return [](Session& session) { return present(session, session.get("/api/v1/queue"), show_queue); };
}

Run declare_release(CLI::App&) {
  return [](Session& session) {
    return present(session, session.post("/api/v1/release"), [](const Document& answer, const Look&) {
      const auto released = count_of(answer, "released");
      return released == 0 ? std::string("no task was held") : counted(released, "task", "tasks") + " released";
    });
  };
}

}  // namespace edgefleet::cli
