// bench llm: how fast the models of the fleet answer.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/commands/poller.hpp"
#include "cli/core/llm_bench.hpp"
#include "cli/core/task_view.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration quiet = seconds(2);  // a shorter measurement needs no progress line
constexpr Duration least_pause = milliseconds(50);
constexpr Duration longest_pause = seconds(2);

class Measurement {
 public:
  Measurement(Session& session, LlmBench bench)
      : session_(session),
        bench_(std::move(bench)),
        tasks_(bench_.lanes()),
        status_(bench_.lanes()),
        poller_(session, interrupt_.token(), std::nullopt) {}

  Exit run() {
    for (;;) {
      const auto began = monotonic_now();
      const auto updated = update_all();
      if (interrupt_.happened()) return interrupted();
      if (!updated) return given_up(updated.error());
      if (over()) break;
      show();
      // With many agents a round takes long, and the coordinator has other work too.
      pause(interrupt_.token(), std::clamp(4 * (monotonic_now() - began), least_pause, longest_pause));
    }
    session_.end_live();
    session_.print(session_.json() ? bench_.document().dump(-1, ' ', false, Document::error_handler_t::replace)
                                   : bench_.show(session_.look()));
    return bench_.any_failed() ? Exit::task_failed : Exit::ok;
  }

 private:
  // Gives every lane a task and takes the results of those that have ended. An error: the coordinator is unreachable.
  Status update_all() {
    for (std::size_t lane = 0; lane < bench_.lanes() && !interrupt_.happened(); ++lane) {
      auto done = tasks_[lane].empty() ? submit(lane) : update(lane);
      if (!done) return done;
    }
    return success();
  }

  // It cannot be interrupted: otherwise a task could exist whose id was never received.
  Status submit(std::size_t lane) {
    const auto body = bench_.next(lane);
    if (!body) return success();
    const auto answer = session_.post("/api/v1/tasks", *body);
    if (!answer && answer.error().kind == ErrorKind::unavailable) return answer.error();
    if (!answer) {
      bench_.failed(lane, answer.error().message);
      return success();
    }
    const auto accepted = read_answer(*answer);
    if (!accepted) return accepted.error();
    tasks_[lane] = printable(text_of(*accepted, "id"));
    return success();
  }

  Status update(std::size_t lane) {
    const auto body = poller_.get("/api/v1/tasks/" + tasks_[lane], seconds(0));
    if (!body) return body.error();
    const auto task = read_answer(*body);
    if (!task) return task.error();
    if (!ended_state(text_of(*task, "state"))) {
      status_[lane] = task_status(*task);
      return success();
    }
    bench_.ended(lane, *task);
    tasks_[lane].clear();
    status_[lane].clear();
    return submit(lane);
  }

  [[nodiscard]] bool over() const {
    for (std::size_t lane = 0; lane < bench_.lanes(); ++lane) {
      if (bench_.next(lane)) return false;
    }
    return true;
  }

  void show() {
    if (!session_.live() || monotonic_now() - began_ < quiet) return;
    session_.show_live(fit(bench_.progress(status_), static_cast<std::size_t>(session_.live_width())));
  }

  // Returns the number of tasks that were cancelled.
  std::size_t cancel_all() {
    std::size_t cancelled = 0;
    for (const auto& task : tasks_) {
      if (!task.empty() && session_.post("/api/v1/tasks/" + task + "/cancel").ok()) ++cancelled;
    }
    return cancelled;
  }

  Exit interrupted() {
    session_.end_live();
    session_.note(counted(cancel_all(), "task was", "tasks were") + " cancelled");
    return interrupt_.exit();
  }

  Exit given_up(const Error& error) {
    const auto exit = session_.fail(error);
    cancel_all();
    for (const auto& task : tasks_) {
      if (!task.empty()) session_.note("  " + session_.hint("task " + task));
    }
    return exit;
  }

  Session& session_;
  LlmBench bench_;
  std::vector<std::string> tasks_;  // id for each lane; empty: no task
  std::vector<std::string> status_;  // text for each lane
  const Interrupt interrupt_;
  Poller poller_;
  const Time began_ = monotonic_now();
};

Exit bench(const LlmBenchOptions& options, Session& session) {
  const auto body = session.get("/api/v1/agents");
  if (!body) return session.fail(body.error());
  const auto agents = read_answer(*body);
  if (!agents) return session.fail(agents.error());
  const auto plan = plan_llm_bench(*agents, options.model);
  if (plan.pairs.empty()) return session.fail(nothing_to_ask(plan, options.model), Exit::coordinator);
  for (const auto& reason : plan.left_out) session.note(printable(reason));
  return Measurement(session, LlmBench(plan.pairs, options)).run();
}

}  // namespace

Run declare_bench(CLI::App& app) {
  auto options = std::make_shared<LlmBenchOptions>();
  auto* llm = app.add_subcommand("llm", "Language models: tokens per second, time to the first token, time to load");
  llm->fallthrough();
  llm->group("Commands");
  llm->footer(app.get_footer());
  llm->add_option("MODEL", options->model, "a model, or PROVIDER/MODEL (default: every model of every agent)")
      ->type_name("");
  llm->add_option("--tokens", options->tokens, "maximum number of tokens of an answer (default 128)")
      ->check(CLI::Range(1, 100'000))
      ->type_name("N");
  llm->add_option("--repeat", options->repeat, "requests for each model of each agent (default 3)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  llm->add_option("--prompt", options->prompt, "text of the request; the number of the run is put before it")
      ->type_name("TEXT");
  app.require_subcommand(0, 1);
  return [&app, options](Session& session) {
    if (app.get_subcommands().empty()) return session.fail("nothing to measure; use edgefleet bench llm", Exit::usage);
    return bench(*options, session);
  };
}

}  // namespace edgefleet::cli
