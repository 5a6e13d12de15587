#include "coordinator/maintenance.hpp"

#include <cstdio>

#include "common/core/counts.hpp"
#include "coordinator/store/backup/backup.hpp"
#include "coordinator/store/backup/check.hpp"

namespace edgefleet::coordinator {
namespace {

void say(const std::string& text) { std::printf("%s\n", text.c_str()); }
void tell(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

int give_up(const Error& error) { return edgefleet::give_up("edgefleet-coordinator", error.message); }

}  // namespace

Maintenance::Maintenance(Configuration& configuration, const std::string& data) : data_(data) {
  back_up_ = configuration.command("backup", "Copies the database and the artifacts, also while the coordinator runs");
  back_up_->add_option("--to", to_, "folder to create; with a name that ends in .db, only the database is copied")
      ->required();
  back_up_->footer(
      "Example:\n  edgefleet-coordinator backup --data /var/lib/edgefleet --to /mnt/usb/fleet-$(date +%F)\n");

  restore_ = configuration.command("restore", "Restores a backup; unfinished tasks wait for `edgefleet release`");
  restore_->add_option("--from", from_, "a backup made by `backup`, or the folder of a replaced database")->required();
  restore_->add_flag("--force", force_, "replace the present data, which is moved to DIR/replaced-N");
  restore_->footer(
      "Stop the coordinator first.\n\nExample:\n  edgefleet-coordinator restore --from /mnt/usb/fleet-2026-01-31 "
      "--data "
      "/var/lib/edgefleet\n");

  check_ = configuration.command("check", "Checks the database and the artifacts for damage; changes nothing");
  check_->footer(
      "Exit code: 0 no problems, 1 problems found, or the check failed.\n\nExample:\n  edgefleet-coordinator check "
      "--data "
      "/var/lib/edgefleet\n");
}

std::optional<int> Maintenance::run() {
  if (back_up_->parsed()) return back_up();
  if (restore_->parsed()) return restore();
  if (check_->parsed()) return check();
  return std::nullopt;
}

int Maintenance::back_up() const {
  const auto done = coordinator::back_up(data_, to_, tell);
  if (!done) return give_up(done.error());
  say("backup in " + to_ + ": " + counted(done->tasks, "task", "tasks") + " (" + std::to_string(done->unfinished) +
      " unfinished), " + show_bytes(done->bytes) + ", " +
      (done->with_artifacts ? counted(done->artifacts, "artifact", "artifacts") : "without artifacts"));
  return 0;
}

int Maintenance::restore() const {
  const auto done = coordinator::restore(from_, data_, force_, tell);
  if (!done) return give_up(done.error());
  say("restored to " + data_ + ": " + counted(done->tasks, "task", "tasks") + ", " +
      counted(done->artifacts, "artifact", "artifacts"));
  if (!done->replaced.empty()) say("the previous data is kept in " + done->replaced);
  if (done->unknown > 0) {
    say(counted(done->unknown, "task", "tasks") +
        " with max_attempts 1 had already been assigned: failed with outcome_unknown");
  }
  if (done->held > 0) {
    say(counted(done->held, "unfinished task", "unfinished tasks") +
        " will be held: start the coordinator, cancel the tasks you no longer need, then run `edgefleet release`");
  }
  return 0;
}

int Maintenance::check() const {
  const auto done = check_data(data_, tell);
  if (!done) return give_up(done.error());
  say(data_ + ": schema " + std::to_string(done->schema) + ", " + counted(done->tasks, "task", "tasks") + ", " +
      std::to_string(done->batches) + (done->batches == 1 ? " batch, " : " batches, ") +
      counted(done->artifacts, "artifact", "artifacts") + " (" + show_bytes(done->artifact_bytes) + ")");
  for (const auto& note : done->notes) say("note: " + note);
  for (const auto& problem : done->problems) say("problem: " + problem);
  if (done->problem_count > done->problems.size()) {
    say("and " + std::to_string(done->problem_count - done->problems.size()) + " more");
  }
  for (const auto& advice : done->advice) say("advice: " + advice);
  say(done->problem_count == 0 ? "no problems" : counted(done->problem_count, "problem", "problems"));
  return done->problem_count == 0 ? 0 : 1;
}

}  // namespace edgefleet::coordinator
