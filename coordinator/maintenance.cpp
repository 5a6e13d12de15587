#include "coordinator/maintenance.hpp"

#include <sys/prctl.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "common/core/counts.hpp"
#include "common/core/joined.hpp"
#include "common/files/durable_write.hpp"
#include "common/pki/sealed.hpp"
#include "common/runtime/prompt.hpp"
#include "coordinator/access/setup_files.hpp"
#include "coordinator/store/backup/backup.hpp"
#include "coordinator/store/backup/check.hpp"

namespace edgefleet::coordinator {
namespace {

void say(const std::string& text) { std::printf("%s\n", text.c_str()); }
void tell(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

bool exists(const std::string& path) {
  std::error_code failure;
  return std::filesystem::exists(path, failure);
}

// Without a mode of its own, which a medium of another system may not know. The backup is synced as a whole.
Status write_sealed(const std::string& path, const std::string& sealed) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(sealed.data(), static_cast<std::streamsize>(sealed.size()));
  file.close();
  return file ? success() : Status(disk_error(path + " cannot be written"));
}

constexpr const char* not_in_the_backup =
    "WARNING: this backup has NO certification authority and NO accesses: without them a restore on another machine "
    "is a new fleet, and all agents join anew. ";

void report(const FleetRestoreReport& fleet) {
  say("restored fleet " + fleet.fleet + ": its certification authority, accesses and agents");
  if (!fleet.sources.empty()) say("what was revoked since is taken from " + joined(fleet.sources, ", "));
  for (const auto& note : fleet.notes) say("note: " + note);
  const auto list = [](const std::string& what, const std::vector<std::string>& names) {
    if (!names.empty()) say(what + ": " + joined(names, ", "));
  };
  list("agents that were revoked since and stay revoked", fleet.agents_removed);
  list("accesses that were revoked since, or have a new key that is lost; make them anew if they are needed",
       fleet.accesses_removed);
  list("agents that were enrolled since and wait for your word (`edgefleet agents readmit NAME`, or revoke)",
       fleet.waiting);
  say("the next list of revoked certificates has number " + std::to_string(fleet.crl_number));
  say("Next, if this is another machine, or has other addresses:");
  say("  edgefleet-coordinator setup --data ... --host ...      # certificates for its names, the broker's files");
}

int give_up(const Error& error) { return edgefleet::give_up("edgefleet-coordinator", error.message); }

}  // namespace

Maintenance::Maintenance(Configuration& configuration, const std::string& data) : data_(data) {
  back_up_ = configuration.command("backup", "Copies the database and the artifacts, also while the coordinator runs");
  back_up_->add_option("--to", to_, "folder to create; with a name that ends in .db, only the database is copied")
      ->required();
  back_up_->add_flag("--tasks-only", tasks_only_, "without the certification authority and the accesses");
  back_up_->footer(
      "The certification authority and the accesses are in the folder too, sealed for the recovery key that setup has\n"
      "shown.\n\nExample:\n  edgefleet-coordinator backup --data /var/lib/edgefleet --to /mnt/usb/fleet-$(date +%F)\n");

  restore_ = configuration.command("restore", "Restores a backup; unfinished tasks wait for `edgefleet release`");
  restore_->add_option("--from", from_, "a backup made by `backup`, or the folder of a replaced database")->required();
  restore_->add_flag("--force", force_, "replace the present data, which is moved to DIR/replaced-N");
  restore_->add_option("--recovery-key-file", recovery_key_file_,
                       "file with the recovery key, `-` for standard input; without it a prompt");
  restore_->add_flag("--tasks-only", tasks_only_, "leave the present certification authority and accesses as they are");
  restore_->footer(
      "Nobody who was revoked after the backup is let in again, as far as the present data and the broker's folder\n"
      "tell. Stop the coordinator first.\n\nExample:\n  edgefleet-coordinator restore --from /mnt/usb/fleet-2026-01-31 "
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

Result<std::string> Maintenance::seal_fleet(const std::string& folder) const {
  if (!is_set_up(data_) || tasks_only_) return std::string();
  if (restore_unfinished(data_)) return unfinished_restore(data_);
  const auto key = read_recovery_key(data_);
  if (!key) return key.error();
  if (!*key) {
    tell(
        std::string(not_in_the_backup) +
        "There is no recovery key to seal them for: stop the coordinator, and run `edgefleet-coordinator setup` again");
    return std::string("without the certification authority and the accesses");
  }
  const auto copy = copy_fleet(data_);
  if (!copy) return copy.error().context("the backup of the fleet's identity (--tasks-only leaves it out)");
  const auto sealed = pki::seal(**key, encode(*copy));
  if (!sealed) return sealed.error();
  if (auto written = write_sealed(sealed_path(folder), *sealed); !written) return written.error();
  return "with the certification authority and the accesses, sealed for the recovery key with the id " + (*key)->id();
}

int Maintenance::back_up() const {
  std::string about_fleet;
  const auto done = coordinator::back_up(data_, to_, tell, [&](const std::string& folder) -> Status {
    auto sealed = seal_fleet(folder);
    if (!sealed) return sealed.error();
    about_fleet = std::move(*sealed);
    return success();
  });
  if (!done) return give_up(done.error());
  if (!done->with_artifacts && is_set_up(data_)) tell(std::string(not_in_the_backup) + "Name a folder with --to");
  say("backup in " + to_ + ": " + counted(done->tasks, "task", "tasks") + " (" + std::to_string(done->unfinished) +
      " unfinished), " + show_bytes(done->bytes) + ", " +
      (done->with_artifacts ? counted(done->artifacts, "artifact", "artifacts") : "without artifacts"));
  if (!about_fleet.empty()) say(about_fleet);
  return 0;
}

// A folder of replaced data has its fleet as plain files; it was on this machine all the time.
Result<std::optional<FleetCopy>> Maintenance::open_fleet() const {
  if (tasks_only_) return std::optional<FleetCopy>();
  const std::string path = sealed_path(from_);
  if (!exists(path)) {
    if (!exists(from_ + "/access.db")) return std::optional<FleetCopy>();
    auto copy = copy_fleet(from_);
    return copy ? Result<std::optional<FleetCopy>>(std::move(*copy)) : copy.error();
  }
  const auto sealed = read_text(path, 2 * pki::longest_sealed);
  if (!sealed) return sealed.error();
  const auto id = pki::sealed_for(*sealed);
  if (!id) return id.error().context(path);
  const auto text = ask_secret(recovery_key_file_, "Recovery key (efr_..., id " + *id + ")",
                               "give the recovery key with --recovery-key-file, or restore without the fleet's "
                               "certification authority and accesses (--tasks-only)");
  if (!text) return text.error();
  const auto secret = pki::RecoverySecret::from_text(*text);
  if (!secret) return secret.error();
  const auto content = pki::unseal(*secret, *sealed);
  if (!content) return content.error().context(path);
  auto copy = decode_fleet_copy(*content);
  return copy ? Result<std::optional<FleetCopy>>(std::move(*copy)) : copy.error().context(path);
}

int Maintenance::restore() const {
  ::prctl(PR_SET_DUMPABLE, 0);  // it has the recovery key
  const auto copy = open_fleet();
  if (!copy) return give_up(copy.error());
  const bool unfinished = restore_unfinished(data_);
  if (unfinished && !*copy) return give_up(unfinished_restore(data_));
  FleetRestoreReport fleet;
  RestoredToo too;
  if (*copy) {
    too.prepare = [&]() -> Status {
      auto prepared = prepare_fleet(**copy, data_);
      if (!prepared) return prepared.error();
      fleet = std::move(*prepared);
      return success();
    };
    too.keep = [&](const std::string& folder) { return keep_replaced_fleet(data_, folder); };
    too.finish = [&] { return finish_fleet(data_); };
  }
  const auto done = coordinator::restore(from_, data_, force_ || unfinished, tell, too);
  if (!done) return give_up(done.error());
  say("restored to " + data_ + ": " + counted(done->tasks, "task", "tasks") + ", " +
      counted(done->artifacts, "artifact", "artifacts"));
  if (!done->replaced.empty()) say("the previous data is kept in " + done->replaced);
  if (!*copy && !tasks_only_ && is_set_up(data_)) {
    say("the backup has no certification authority and no accesses: the present ones stay as they are");
  }
  if (done->unknown > 0) {
    say(counted(done->unknown, "task", "tasks") +
        " with max_attempts 1 had already been assigned: failed with outcome_unknown");
  }
  if (done->held > 0) {
    say(counted(done->held, "unfinished task", "unfinished tasks") +
        " will be held: start the coordinator, cancel the tasks you no longer need, then run `edgefleet release`");
  }
  if (*copy) report(fleet);
  return 0;
}

int Maintenance::check() const {
  const auto done = check_data(data_, tell);
  if (!done) return give_up(done.error());
  say(data_ + ": schema " + std::to_string(done->schema) + ", " + counted(done->tasks, "task", "tasks") + ", " +
      std::to_string(done->batches) + (done->batches == 1 ? " batch, " : " batches, ") +
      counted(done->artifacts, "artifact", "artifacts") + " (" + show_bytes(done->artifact_bytes) + ")");
  std::size_t problems = done->problem_count;
  if (exists(sealed_path(data_))) {
    const auto sealed = read_text(sealed_path(data_), 2 * pki::longest_sealed);
    const auto id = sealed ? pki::sealed_for(*sealed) : Result<std::string>(sealed.error());
    say(id ? "certification authority and accesses, which can be checked only with the recovery key, id " + *id
           : "problem: " + sealed_path(data_) + ": " + id.error().message);
    if (!id) ++problems;
  }
  for (const auto& note : done->notes) say("note: " + note);
  for (const auto& problem : done->problems) say("problem: " + problem);
  if (done->problem_count > done->problems.size()) {
    say("and " + std::to_string(done->problem_count - done->problems.size()) + " more");
  }
  for (const auto& advice : done->advice) say("advice: " + advice);
  say(problems == 0 ? "no problems" : counted(problems, "problem", "problems"));
  return problems == 0 ? 0 : 1;
}

}  // namespace edgefleet::coordinator
