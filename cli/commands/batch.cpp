// batch: submits the tasks of a file and watches them until they have ended.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/commands/capabilities.hpp"
#include "cli/commands/command.hpp"
#include "cli/commands/poller.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/batch_file.hpp"
#include "cli/core/error_counts.hpp"
#include "cli/core/progress.hpp"
#include "common/http/problem.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {
namespace {

using std::chrono::seconds;

constexpr std::size_t most_lines_shown = 20;

struct Batch {
  std::string file;
  std::optional<Capability> capability;
  Wait wait;
  bool no_wait = false;
};

// What was accepted so far: one batch of the API for each chunk.
struct Accepted {
  std::vector<std::string> ids;
  std::vector<std::string> answers;
  std::size_t tasks = 0;
};

Result<BatchFile> read_file(const Batch& batch) {
  if (batch.file == "-") return read_batch(std::cin, batch.capability);
  auto file = open_file(batch.file);
  if (!file) return file.error();
  auto content = read_batch(*file, batch.capability);
  if (file->bad()) return invalid("cannot read " + batch.file);
  return content;
}

void list(Session& session, const std::vector<std::string>& lines) {
  for (std::size_t i = 0; i < std::min(lines.size(), most_lines_shown); ++i) session.note(printable(lines[i]));
  if (lines.size() > most_lines_shown) session.note("and " + grouped(lines.size() - most_lines_shown) + " more kinds");
}

Exit refuse(Session& session, const std::vector<LineFault>& faults, const Accepted& accepted) {
  list(session, grouped_faults(faults));
  const auto rest = accepted.tasks == 0 ? "nothing was submitted" : "these and all later tasks were not submitted";
  return session.fail(counted(faults.size(), "line is", "lines are") + " invalid; " + rest,
                      accepted.tasks == 0 ? Exit::usage : Exit::coordinator);
}

// A budget that is used up begins anew tomorrow at the earliest.
constexpr Duration longest_pause = std::chrono::minutes(5);

// A full queue has room later: waits for the time that the coordinator states, then tries again.
Result<http::Response> post_chunk(Session& session, const std::string& body, const std::stop_token& stop) {
  http::Options options;
  options.stop = stop;
  options.timeout = seconds(120);
  for (bool noted = false;;) {
    auto answer = session.client().post("/api/v1/batches", body, options);
    if (!answer || answer->status != 429) return answer;
    if (answer->retry_after.value_or(seconds(0)) > longest_pause) return answer;
    if (!std::exchange(noted, true))
      session.note(sentence(printable(http::to_error(*answer).message)) + " Retrying until there is room.");
    if (!pause(stop, answer->retry_after.value_or(seconds(2)))) return Error{"interrupted", ErrorKind::unavailable};
  }
}

std::vector<LineFault> faults_of(const http::Response& answer, std::span<const BatchTask> chunk) {
  std::vector<LineFault> faults;
  for (const auto& fault : http::parse_problem(answer).faults) {
    if (fault.index < chunk.size()) faults.push_back({chunk[fault.index].line, fault.detail});
  }
  return faults;
}

void note_accepted(Session& session, const Accepted& accepted, std::size_t next_line) {
  if (accepted.tasks == 0) return;
  session.note(counted(accepted.tasks, "task was", "tasks were") + " accepted before the error, up to line " +
               std::to_string(next_line - 1) + "; to submit the rest: tail -n +" + std::to_string(next_line) + " FILE");
  for (const auto& id : accepted.ids) session.note("  " + session.hint("tasks --batch " + id));
}

Exit fail_chunk(Session& session, const Error& error, const Accepted& accepted, std::size_t next_line) {
  const auto exit = session.fail(error);
  note_accepted(session, accepted, next_line);
  return accepted.tasks == 0 ? exit : Exit::coordinator;
}

Exit submit(Session& session, const std::vector<BatchTask>& tasks, const Interrupt& interrupt, Accepted& accepted) {
  for (const auto chunk : split(tasks)) {
    auto answer = post_chunk(session, to_body(chunk), interrupt.token());
    if (interrupt.happened()) {
      note_accepted(session, accepted, chunk.front().line);
      return interrupt.exit();
    }
    if (!answer) return fail_chunk(session, answer.error(), accepted, chunk.front().line);
    if (const auto faults = faults_of(*answer, chunk); !answer->ok() && !faults.empty()) {
      const auto exit = refuse(session, faults, accepted);
      note_accepted(session, accepted, chunk.front().line);
      return exit;
    }
    if (!answer->ok()) return fail_chunk(session, session.error_of(*answer), accepted, chunk.front().line);
    const auto document = read_answer(answer->body);
    if (!document) return fail_chunk(session, document.error(), accepted, chunk.front().line);
    accepted.ids.push_back(printable(text_of(*document, "id")));
    accepted.answers.push_back(std::move(answer->body));
    accepted.tasks += chunk.size();
  }
  return Exit::ok;
}

// The batches of one file, watched as one.
class BatchWatch {
 public:
  BatchWatch(Session& session, Accepted accepted, Time began)
      : session_(session), accepted_(std::move(accepted)), counts_(accepted_.ids.size()), began_(began) {}

  Exit run(const Interrupt& interrupt, const std::optional<Duration>& limit) {
    Poller poller(session_, interrupt.token(), limit);
    for (;;) {
      const auto updated = update(poller);
      if (interrupt.happened()) return interrupted(interrupt);
      if (!updated) return session_.fail(updated.error());
      const auto sum = total();
      show(sum);
      if (sum.ended()) return ended(sum);
      if (poller.over()) return unfinished(sum);
    }
  }

 private:
  // Asks for every batch that has not ended. The coordinator holds the first call, so a step takes that long.
  Status update(Poller& poller) {
    auto hold = poller.hold(session_.live() ? seconds(1) : seconds(2));
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i].total > 0 && counts_[i].ended()) continue;
      auto body = poller.get("/api/v1/batches/" + accepted_.ids[i], std::exchange(hold, seconds(0)));
      if (!body) return body.error();
      const auto document = read_answer(*body);
      if (!document) return document.error();
      counts_[i] = batch_counts(*document);
      accepted_.answers[i] = std::move(*body);
    }
    return success();
  }

  [[nodiscard]] BatchCounts total() const {
    BatchCounts sum;
    for (const auto& counts : counts_) sum += counts;
    return sum;
  }

  void show(const BatchCounts& sum) {
    rate_.add(monotonic_now(), sum.done());
    if (session_.live()) {
      session_.show_live(progress_bar(sum, rate_.per_second(), session_.live_width()));
    } else {
      session_.note(progress_line(sum, rate_.per_second()));
    }
  }

  void print(const BatchCounts& sum) {
    session_.end_live();
    if (!session_.json()) return session_.print(batch_summary(sum, monotonic_now() - began_));
    for (const auto& answer : accepted_.answers) session_.print(answer);
  }

  // Of the tasks that failed last; a kind of error is a line with its number.
  std::vector<std::string> errors() {
    ErrorCounts counts;
    for (const auto& id : accepted_.ids) {
      const auto body = session_.get("/api/v1/tasks?state=failed&limit=1000&batch=" + id);
      const auto document = body ? read_answer(*body) : Result<Document>(body.error());
      if (document) counts.add(*document);
    }
    return counts.lines();
  }

  void hints(const std::string& options) {
    for (const auto& id : accepted_.ids) session_.note("  " + session_.hint("tasks --batch " + id + options));
  }

  Exit ended(const BatchCounts& sum) {
    print(sum);
    if (sum.succeeded == sum.total) return Exit::ok;
    if (sum.failed > 0) {
      list(session_, errors());
      session_.note("To list them:");
      hints(" --state failed");
    }
    return Exit::task_failed;
  }

  Exit unfinished(const BatchCounts& sum) {
    print(sum);
    session_.note("The tasks continue. To list them:");
    hints("");
    return Exit::unfinished;
  }

  Exit interrupted(const Interrupt& interrupt) {
    session_.end_live();
    session_.note("\nThe tasks continue. To list them, or to get their ids for edgefleet cancel:");
    hints("");
    return interrupt.exit();
  }

  Session& session_;
  Accepted accepted_;
  std::vector<BatchCounts> counts_;
  RateMeter rate_;
  Time began_;
};

Exit run(const Batch& batch, Session& session) {
  const auto file = read_file(batch);
  if (!file) return session.fail(file.error().message, Exit::usage);
  if (!file->faults.empty()) return refuse(session, file->faults, {});
  if (file->tasks.empty()) return session.fail("no tasks in " + batch.file, Exit::usage);
  const Interrupt interrupt;
  const auto began = monotonic_now();
  Accepted accepted;
  if (const auto exit = submit(session, file->tasks, interrupt, accepted); exit != Exit::ok) return exit;
  if (batch.no_wait) {
    for (std::size_t i = 0; i < accepted.ids.size(); ++i)
      session.print(session.json() ? accepted.answers[i] : accepted.ids[i]);
    return Exit::ok;
  }
  if (batch.capability) note_if_nobody_offers(session, batch.capability->str());
  for (const auto& id : accepted.ids) session.note("batch " + id);
  return BatchWatch(session, std::move(accepted), began).run(interrupt, batch.wait.limit);
}

}  // namespace

Run declare_batch(CLI::App& app) {
  auto batch = std::make_shared<Batch>();
  app.add_option(
         "FILE", batch->file,
         "file with one JSON value per line: a task object or, with --capability, an input; - is standard input")
      ->required()
      ->type_name("");
  app.add_option_function<std::string>(
         "--capability",
         [batch](const std::string& text) { batch->capability = checked("--capability", parse_capability(text)); },
         "capability of the lines that name none")
      ->type_name("NAME");
  auto* wait = add_wait(app, batch->wait, "maximum time to wait (default: no limit)");
  app.add_flag("--no-wait", batch->no_wait, "submit the tasks, print the ids of the batches, and do not wait")
      ->excludes(wait);
  return [batch](Session& session) { return run(*batch, session); };
}

}  // namespace edgefleet::cli
