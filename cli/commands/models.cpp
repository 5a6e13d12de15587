// models: lists the models of the fleet; pulls, removes and loads them.
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/poller.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/models.hpp"
#include "cli/core/task_view.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {
namespace {

using std::chrono::seconds;

constexpr std::size_t most_reasons = 10;  // waiting tasks per second whose reason is requested

struct Wanted {
  ModelOrder order;
  std::string agent;
  bool no_wait = false;
};

// One batch with a task for each agent.
class OrderWatch {
 public:
  OrderWatch(Session& session, std::string batch, std::vector<std::string> tasks)
      : session_(session), batch_(std::move(batch)), tasks_(std::move(tasks)) {}

  Exit run() {
    const Interrupt interrupt;
    Poller poller(session_, interrupt.token(), std::nullopt);
    for (;;) {
      const auto updated = update(poller);
      if (interrupt.happened()) return interrupted(interrupt);
      if (!updated) return session_.fail(updated.error());
      if (session_.live()) session_.show_live(watch_.lines(session_.live_width(), session_.live_height()));
      if (watch_.ended()) return ended(poller);
    }
  }

 private:
  // The coordinator holds the first call, so a step takes that long.
  Status update(Poller& poller) {
    if (auto held = poller.get("/api/v1/batches/" + batch_, seconds(1)); !held) return held.error();
    std::string after;
    do {
      const auto body = poller.get("/api/v1/tasks?limit=1000&batch=" + batch_ + after, seconds(0));
      if (!body) return body.error();
      const auto page = read_answer(*body);
      if (!page) return page.error();
      for (const auto& task : member_of(*page, "tasks")) watch_.take(task, monotonic_now());
      const auto next = text_of(*page, "next");
      after = next.empty() ? next : "&after=" + next;
    } while (!after.empty());
    return session_.live() ? update_reasons(poller) : success();
  }

  Status update_reasons(Poller& poller) {
    auto waiting = watch_.waiting();
    waiting.resize(std::min(waiting.size(), most_reasons));
    for (const auto& id : waiting) {
      const auto body = poller.get("/api/v1/tasks/" + id, seconds(0));
      if (!body) return body.error();
      const auto task = read_answer(*body);
      if (!task) return task.error();
      watch_.take_reason(id, task_status(*task));
    }
    return success();
  }

  Exit ended(Poller& poller) {
    session_.end_live();
    for (const auto& id : tasks_) {
      const auto body = poller.get("/api/v1/tasks/" + id, seconds(0));
      if (!body) return session_.fail(body.error());
      const auto task = read_answer(*body);
      if (!task) return session_.fail(task.error());
      session_.print(session_.json() ? *body : show_model_outcome(*task));
    }
    return watch_.succeeded() ? Exit::ok : Exit::task_failed;
  }

  Exit interrupted(const Interrupt& interrupt) {
    session_.end_live();
    session_.note("\nThe tasks continue. To list them: " + session_.hint("tasks --batch " + batch_) +
                  "; to cancel them:");
    std::string ids;
    for (const auto& id : tasks_) ids += " " + id;
    session_.note("  " + session_.hint("cancel" + ids));
    return interrupt.exit();
  }

  Session& session_;
  std::string batch_;
  std::vector<std::string> tasks_;
  ModelWatch watch_;
};

Exit carry_out(Wanted& wanted, Session& session) {
  if (!wanted.agent.empty() && !wanted.order.where.emplace("agent", wanted.agent).second) {
    return session.fail("the agent is given twice: with --agent and with --where", Exit::usage);
  }
  const auto fleet = session.get("/api/v1/agents");
  if (!fleet) return session.fail(fleet.error());
  const auto agents = read_answer(*fleet);
  if (!agents) return session.fail(agents.error());
  const auto chosen = choose_agents(*agents, wanted.order);
  if (!chosen) return session.fail(chosen.error().message, Exit::usage);
  const auto body = session.post("/api/v1/batches", to_body(wanted.order, *chosen));
  if (!body) return session.fail(body.error());
  const auto answer = read_answer(*body);
  if (!answer) return session.fail(answer.error());
  const auto batch = printable(text_of(*answer, "id"));
  if (wanted.no_wait) {
    session.print(session.json() ? *body : batch);
    return Exit::ok;
  }
  std::vector<std::string> tasks;
  for (const auto& id : member_of(*answer, "tasks")) {
    if (id.is_string()) tasks.push_back(printable(id.get<std::string>()));
  }
  session.note("batch " + batch);
  return OrderWatch(session, batch, std::move(tasks)).run();
}

struct Verb {
  const char* name;
  const char* summary;
  const char* examples;
  bool only_holders;
};
constexpr std::array<Verb, 3> verbs = {{
    {"pull", "Download a model to the agents with an Ollama",
     "  edgefleet models pull deepseek-coder:1.3b --where board=pi4\n"
     "  edgefleet models pull deepseek-coder:6.7b --agent pi-8 --force\n",
     false},
    {"remove", "Remove a model from the agents that have it",
     "  edgefleet models remove deepseek-coder:6.7b --agent pi-4\n", true},
    {"load", "Load a model into memory, so that the first request does not wait for it",
     "  edgefleet models load deepseek-coder:1.3b --keep-alive 2h\n", true},
}};

std::shared_ptr<Wanted> declare_verb(CLI::App& app, const Verb& verb) {
  auto wanted = std::make_shared<Wanted>();
  wanted->order.verb = verb.name;
  wanted->order.only_holders = verb.only_holders;
  auto* sub = app.add_subcommand(verb.name, verb.summary);
  sub->fallthrough();
  sub->group("Commands");
  sub->footer(std::string("Examples:\n") + verb.examples);
  sub->add_option("MODEL", wanted->order.model, "name of the model in Ollama, such as deepseek-coder:1.3b")
      ->required()
      ->type_name("");
  sub->add_option_function<std::vector<std::string>>(
         "--where",
         [wanted](const auto& conditions) { wanted->order.where = checked("--where", parse_where(conditions)); },
         "only agents with this label; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  sub->add_option_function<std::string>(
         "--agent",
         [wanted](const std::string& text) { wanted->agent = checked("--agent", parse_agent_name(text)).str(); },
         "only this agent")
      ->type_name("NAME");
  if (wanted->order.verb == "pull") {
    sub->add_flag("--force", wanted->order.force, "download even if the memory seems too small");
  }
  if (wanted->order.verb == "load") {
    sub->add_option("--keep-alive", wanted->order.keep_alive,
                    "how long the model stays in memory unused, such as 10m; --keep-alive=-1: always")
        ->type_name("TIME");
  }
  sub->add_flag("--no-wait", wanted->no_wait, "submit the tasks, print the id of their batch, and do not wait");
  return wanted;
}

}  // namespace

Run declare_models(CLI::App& app) {
  std::map<std::string, std::shared_ptr<Wanted>> all;
  for (const auto& verb : verbs) all.emplace(verb.name, declare_verb(app, verb));
  app.require_subcommand(0, 1);
  return [&app, all](Session& session) {
    const auto chosen = app.get_subcommands();
    if (chosen.empty()) return present(session, session.get("/api/v1/agents"), show_models);
    return carry_out(*all.at(chosen.front()->get_name()), session);
  };
}

}  // namespace edgefleet::cli
