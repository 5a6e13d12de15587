// put, get.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/core/progress.hpp"
#include "cli/core/times.hpp"
#include "common/core/artifact_id.hpp"
#include "common/http/problem.hpp"

namespace edgefleet::cli {
namespace {

// Smaller files are transferred before a bar can be read.
constexpr std::uint64_t least_bytes_for_a_bar = std::uint64_t{4} << 20U;

http::Progress bar_for(Session& session, const std::string& name) {
  if (!session.live()) return {};
  return [&session, name](std::uint64_t done, std::uint64_t total) {
    if (total < least_bytes_for_a_bar) return;
    const auto share = static_cast<double>(done) / static_cast<double>(total);
    const auto text = bar(share, 24) + "  " + show_bytes(total) + "  " + printable(name);
    session.show_live(fit(text, static_cast<std::size_t>(session.live_width())));
  };
}

// An error about a local file is wrong usage; all others come from the coordinator.
Exit fail_transfer(Session& session, const Error& error, bool answered) {
  const bool local = !answered && (error.kind == ErrorKind::invalid || error.kind == ErrorKind::full);
  return session.fail(error.message, local ? Exit::usage : Exit::coordinator);
}

Exit put_one(const std::string& path, Session& session, const Interrupt& interrupt, std::optional<double>& kept_ms) {
  const auto answer = session.client().put_file("/api/v1/artifacts", path, http::file_options(interrupt.token()),
                                                bar_for(session, path));
  session.end_live();
  if (interrupt.happened()) return interrupt.exit();
  if (!answer) return fail_transfer(session, answer.error(), false);
  if (!answer->ok()) return fail_transfer(session, session.error_of(*answer).context(path), true);
  kept_ms = number_of(parse_document(answer->body).value_or(Document()), "kept_ms");
  return present(session, Result<std::string>(answer->body),
                 [](const Document& stored, const Look&) { return printable(text_of(stored, "id")); });
}

Exit put(const std::vector<std::string>& paths, Session& session) {
  const Interrupt interrupt;
  std::optional<double> kept_ms;
  for (const auto& path : paths) {
    if (const auto exit = put_one(path, session, interrupt, kept_ms); exit != Exit::ok) return exit;
  }
  if (kept_ms) {
    session.note("kept for " + show_duration(std::chrono::milliseconds(static_cast<std::int64_t>(*kept_ms))) +
                 ", and as long as a task names it");
  }
  return Exit::ok;
}

struct Get {
  std::vector<std::string> ids;
  std::string target;  // empty: a file named like the id, in the current folder
  bool force = false;
};

Status write_out(std::string_view piece) {
  if (std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size()) return success();
  return Error{"cannot write to standard output", ErrorKind::full};
}

// Where each file goes.
Result<std::string> target_of(const Get& get, const std::string& id) {
  std::error_code failure;
  const auto target = get.target.empty()                                   ? id
                      : std::filesystem::is_directory(get.target, failure) ? get.target + "/" + id
                                                                           : get.target;
  if (!get.force && std::filesystem::exists(std::filesystem::symlink_status(target, failure))) {
    return invalid(target + " exists; --force replaces it");
  }
  return target;
}

Exit fetch(const std::string& id, const std::string& target, Session& session, const Interrupt& interrupt) {
  const auto path = "/api/v1/artifacts/" + id;
  const auto options = http::file_options(interrupt.token());
  const bool out = target == "-";
  const auto answer = out ? session.client().get_stream(path, write_out, options, {})
                          : session.client().get_file(path, target, options, bar_for(session, target));
  session.end_live();
  if (interrupt.happened()) return interrupt.exit();
  if (!answer) return fail_transfer(session, answer.error(), false);
  if (!answer->ok()) return fail_transfer(session, session.error_of(*answer), true);
  if (!out) session.note("wrote " + printable(target));
  return Exit::ok;
}

// All targets are checked before anything is written.
Exit get(const Get& get, Session& session) {
  std::error_code failure;
  const bool one_file = !get.target.empty() && get.target != "-" && !std::filesystem::is_directory(get.target, failure);
  if (get.ids.size() > 1 && one_file) {
    return session.fail(get.target + " is not a folder; several files need one: -o DIR", Exit::usage);
  }
  std::vector<std::string> targets;
  for (const auto& id : get.ids) {
    auto target = get.target == "-" ? Result<std::string>(get.target) : target_of(get, id);
    if (!target) return session.fail(target.error().message, Exit::usage);
    targets.push_back(std::move(*target));
  }
  const Interrupt interrupt;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (const auto exit = fetch(get.ids[i], targets[i], session, interrupt); exit != Exit::ok) return exit;
  }
  return Exit::ok;
}

std::string checked_artifact(const std::string& text) {
  if (!valid_artifact_id(text))
    throw CLI::ValidationError("ARTIFACT", "'" + text + "' is not the id of a stored file: sha256- and 64 hex digits");
  return text;
}

}  // namespace

Run declare_put(CLI::App& app) {
  auto paths = std::make_shared<std::vector<std::string>>();
  app.add_option("FILE", *paths, "files to store; the id of each is printed")->required()->type_name("");
  return [paths](Session& session) { return put(*paths, session); };
}

Run declare_get(CLI::App& app) {
  auto wanted = std::make_shared<Get>();
  app.add_option_function<std::vector<std::string>>(
         "ARTIFACT",
         [wanted](const std::vector<std::string>& texts) {
           for (const auto& text : texts) wanted->ids.push_back(checked_artifact(text));
         },
         "ids of files, as printed by put or named in the output of a task")
      ->required()
      ->type_name("");
  app.add_option("-o,--output", wanted->target,
                 "file or folder to write to; - is standard output (default: a file named like the id)")
      ->type_name("FILE|DIR")
      ->expected(1);
  app.add_flag("--force", wanted->force, "replace a file that exists");
  return [wanted](Session& session) { return get(*wanted, session); };
}

}  // namespace edgefleet::cli
