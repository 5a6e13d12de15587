// agents, agent, drain, resume, queue, release.
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/fleet_view.hpp"

namespace edgefleet::cli {
namespace {

std::string checked_name(const std::string& text) { return checked("NAME", parse_agent_name(text)).str(); }

struct Change {
  const char* verb;
  const char* done;  // the answer has the old state: the agent reports the new one a moment later
};
constexpr Change drain{"drain", "draining"};
constexpr Change resume{"resume", "resumed"};

Exit change(const std::vector<std::string>& names, const Change& what, Session& session) {
  auto exit = Exit::ok;
  for (const auto& name : names) {
    const auto body = session.post("/api/v1/agents/" + name + "/" + what.verb);
    const auto one = present(session, body, [&what](const Document& answer, const Look& look) {
      return printable(text_of(answer, "name")) + "  " + paint(what.done, style_of_state(what.done), look.colour);
    });
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

Run declare_agents(CLI::App&) {
  return [](Session& session) { return present(session, session.get("/api/v1/agents"), show_agents); };
}

Run declare_agent(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option_function<std::string>(
         "NAME", [name](const std::string& text) { *name = checked_name(text); },
         "name of an agent, as listed by edgefleet agents")
      ->required()
      ->type_name("");
  return [name](Session& session) { return present(session, session.get("/api/v1/agents/" + *name), show_agent); };
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
