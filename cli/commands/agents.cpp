// agents, agents forget, agent, drain, resume, queue, release.
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/fleet_view.hpp"
#include "common/core/nearest.hpp"

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
  return session.fail(error.message + (near ? "; did you mean " + *near + "?" : ""), Exit::coordinator);
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

Run declare_change(CLI::App& app, const Change& what) {
  auto names = std::make_shared<std::vector<std::string>>();
  const auto read = [names](const std::vector<std::string>& texts) {
    for (const auto& text : texts) names->push_back(checked_name(text));
  };
  app.add_option_function<std::vector<std::string>>("NAME", read, "names of agents, as listed by edgefleet agents")
      ->required()
      ->type_name("");
  return [names, what](Session& session) { return change(*names, what, session); };
}

}  // namespace

Run declare_agents(CLI::App& app) {
  auto* sub = app.add_subcommand("forget", "Remove agents that are lost or offline from the list");
  sub->fallthrough();
  sub->group("Commands");
  sub->footer("Examples:\n  edgefleet agents forget pi-old\n");
  const auto forget_them = declare_change(*sub, forget);
  app.require_subcommand(0, 1);
  return [&app, forget_them](Session& session) {
    if (!app.get_subcommands().empty()) return forget_them(session);
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
