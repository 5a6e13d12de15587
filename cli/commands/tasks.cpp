// tasks, task, cancel, retry.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/poller.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/task_view.hpp"
#include "common/core/nearest.hpp"
#include "common/core/task.hpp"
#include "common/http/url.hpp"

namespace edgefleet::cli {
namespace {

struct Filter {
  std::string state;
  std::string capability;
  std::string batch;
  std::string after;
  int limit = 20;
};

Exit list(const Filter& filter, Session& session) {
  const auto body = session.get(http::with_query("/api/v1/tasks", {{"state", filter.state},
                                                                   {"capability", filter.capability},
                                                                   {"batch", filter.batch},
                                                                   {"limit", std::to_string(filter.limit)},
                                                                   {"after", filter.after}}));
  const auto exit = present(session, body, show_tasks);
  if (exit != Exit::ok || session.json()) return exit;
  const auto next = text_of(*read_answer(*body), "next");
  if (!next.empty()) session.note("For older tasks, repeat the command with --after " + printable(next));
  return exit;
}

Exit present_task(Session& session, const Result<std::string>& body) {
  return present(session, body, [&](const Document& task, const Look& look) {
    return show_task(task, text_of_member(*body, "output"), look);
  });
}

Exit show(const std::string& id, const Wait& wait, Session& session) {
  if (!wait.wanted) return present_task(session, session.get("/api/v1/tasks/" + id));
  const auto waited = wait_for_task(session, id, wait.limit);
  if (waited.body.empty()) return waited.exit;
  const auto shown = present_task(session, waited.body);
  if (shown != Exit::ok || waited.exit != Exit::ok) return shown == Exit::ok ? waited.exit : shown;
  return exit_of(*read_answer(waited.body));
}

// One call for each task. A refusal does not end the loop; an unreachable coordinator does.
Exit change(const std::vector<std::string>& ids, const std::string& verb, Session& session) {
  auto exit = Exit::ok;
  for (const auto& id : ids) {
    const auto body = session.post("/api/v1/tasks/" + id + "/" + verb);
    const auto one = present(session, body, [](const Document& answer, const Look& look) {
      const auto state = text_of(answer, "state");
      return printable(text_of(answer, "id")) + "  " + paint(printable(state), style_of_state(state), look.colour);
    });
    if (one != Exit::ok) exit = one;
    if (!body && body.error().kind == ErrorKind::unavailable) break;
  }
  return exit;
}

std::string checked_id(const std::string& text) { return checked("ID", parse_task_id(text)).str(); }

// One page at a time, each durable by itself. A task that was retried and has failed again is not retried twice.
Exit retry_all(Filter filter, Session& session) {
  std::uint64_t retried = 0;
  std::uint64_t refused = 0;
  do {
    const auto body = session.post(http::with_query("/api/v1/tasks/retry", {{"state", filter.state},
                                                                            {"capability", filter.capability},
                                                                            {"batch", filter.batch},
                                                                            {"limit", std::to_string(filter.limit)},
                                                                            {"after", filter.after}}));
    if (!body) return session.fail(body.error());
    const auto answer = read_answer(*body);
    if (!answer) return session.fail(answer.error());
    retried += count_of(*answer, "retried");
    for (const auto& one : member_of(*answer, "refused")) {
      if (++refused <= 10) session.note(printable(text_of(one, "id") + ": " + text_of(one, "detail")));
    }
    filter.after = text_of(*answer, "next");
    if (session.live()) session.show_live(std::to_string(retried) + " tasks run again");
  } while (!filter.after.empty());
  session.end_live();
  if (session.json()) {
    session.print("{\"retried\":" + std::to_string(retried) + ",\"refused\":" + std::to_string(refused) + "}");
  } else {
    session.print(std::to_string(retried) + (retried == 1 ? " task runs again" : " tasks run again") +
                  (refused > 0 ? ", " + std::to_string(refused) + " could not" : ""));
  }
  return refused > 0 ? Exit::coordinator : Exit::ok;
}

Run declare_change(CLI::App& app, const char* verb, bool required) {
  auto ids = std::make_shared<std::vector<std::string>>();
  const auto read = [ids](const std::vector<std::string>& texts) {
    for (const auto& text : texts) ids->push_back(checked_id(text));
  };
  app.add_option_function<std::vector<std::string>>("ID", read, "ids of tasks, as listed by edgefleet tasks")
      ->required(required)
      ->type_name("");
  return [ids, verb](Session& session) { return change(*ids, verb, session); };
}

const std::vector<std::string>& task_states() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < task_state_count; ++i) names.emplace_back(to_string(static_cast<TaskState>(i)));
    return names;
  }();
  return all;
}
const std::vector<std::string> ended_states{"failed", "cancelled", "expired"};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  return text;
}

void read_state(Filter& filter, const std::string& text, const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    const auto near = nearest(text, allowed);
    throw CLI::ValidationError(
        "--state", "'" + text + "' is none of " + joined(allowed) + (near ? "; did you mean " + *near + "?" : ""));
  }
  filter.state = text;
}

void add_filter(CLI::App& app, const std::shared_ptr<Filter>& filter, const std::vector<std::string>& states) {
  app.add_option_function<std::string>(
         "--state", [filter, states](const std::string& text) { read_state(*filter, text, states); },
         "only tasks in this state: " + joined(states))
      ->type_name("STATE");
  app.add_option_function<std::string>(
         "--capability",
         [filter](const std::string& text) {
           filter->capability = checked("--capability", parse_capability(text)).str();
         },
         "only tasks that need this capability")
      ->type_name("NAME");
  app.add_option_function<std::string>(
         "--batch", [filter](const std::string& text) { filter->batch = checked_id(text); }, "only tasks of this batch")
      ->type_name("ID");
}

}  // namespace

Run declare_tasks(CLI::App& app) {
  auto filter = std::make_shared<Filter>();
  add_filter(app, filter, task_states());
  app.add_option("--limit", filter->limit, "maximum number to list (default 20)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  app.add_option_function<std::string>(
         "--after", [filter](const std::string& text) { filter->after = checked_id(text); },
         "list the tasks that are older than this one")
      ->type_name("ID");
  return [filter](Session& session) { return list(*filter, session); };
}

Run declare_task(CLI::App& app) {
  auto id = std::make_shared<std::string>();
  auto wait = std::make_shared<Wait>();
  app.add_option_function<std::string>(
         "ID", [id](const std::string& text) { *id = checked_id(text); }, "id of a task, as listed by edgefleet tasks")
      ->required()
      ->type_name("");
  add_wait(app, *wait, "wait until the task has ended, at most TIME (default: no limit)");
  return [id, wait](Session& session) { return show(*id, *wait, session); };
}

Run declare_cancel(CLI::App& app) { return declare_change(app, "cancel", true); }

Run declare_retry(CLI::App& app) {
  auto filter = std::make_shared<Filter>();
  filter->limit = 1000;
  const auto retry_ids = declare_change(app, "retry", false);
  add_filter(app, filter, ended_states);
  return [filter, retry_ids, &app](Session& session) {
    const bool ids = app.get_option("ID")->count() > 0;
    if (ids == !filter->state.empty()) {
      return session.fail("retry takes either IDs or --state (failed, cancelled or expired)", Exit::usage);
    }
    return ids ? retry_ids(session) : retry_all(*filter, session);
  };
}

}  // namespace edgefleet::cli
