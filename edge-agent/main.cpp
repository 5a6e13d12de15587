#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "common/files/folder.hpp"
#include "common/runtime/log.hpp"
#include "common/runtime/signals.hpp"
#include "edge-agent/configuration.hpp"
#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "edge-agent/identity/renewal.hpp"
#include "edge-agent/join_command.hpp"
#include "edge-agent/shell/hidden_files.hpp"
#include "edge-agent/shell/http_artifacts.hpp"
#include "edge-agent/shell/loop.hpp"
#include "edge-agent/shell/own_name.hpp"
#include "edge-agent/shell/settings.hpp"
#include "edge-agent/shell/spool.hpp"

namespace {

using namespace edgefleet;
using namespace edgefleet::agent;

// Whatever the executors are: results that could not be delivered, and what models have cost, are in it too.
Status take_work_folder(FolderLock& lock, const std::string& work) {
  if (auto made = make_private_folder(work, "--work"); !made) return made;
  for (const char* part : {"scratch", "spool", "spool/results", "spool/artifacts", "unknown-results", "llm"}) {
    if (auto safe = check_private_folder(work + '/' + part, "--work"); !safe) return safe;
  }
  return lock.take(work, "another agent uses the work folder " + work + "; give each agent its own with --work");
}

// False: a stop was requested.
Result<bool> choose_name(const Settings& settings, Loop::Options& options) {
  if (!settings.name_is_default) return true;
  NameCheck check({options.fleet, options.name, settings.work, options.broker});
  const Signals signals([&] { check.request_stop(); });
  auto name = check.run();
  if (!name) return name.error();
  if (*name) options.name = **name;
  return name->has_value();
}

// It has not joined, and its broker is the one of a first try.
bool is_only_here(const Settings& settings) { return settings.broker == Settings{}.broker; }

void write_start_line(const Settings& settings, const Loop::Options& options) {
  log::info("edgefleet-agent " EDGEFLEET_VERSION ": agent " + options.name.str() + " of fleet " + settings.fleet +
            ", broker " + settings.broker + ", coordinator " +
            (settings.coordinator.empty() ? "none (no tasks with files)" : settings.coordinator) + ", work folder " +
            settings.work + (is_only_here(settings) ? "; for a fleet that was set up: `edgefleet-agent join`" : ""));
}

std::shared_ptr<Sandbox> make_sandbox(const Settings& settings) {
  auto sandbox = std::make_shared<Sandbox>(hidden_files(settings));
  if (!sandbox->missing().empty()) {
    log::warning("no sandbox: " + sandbox->missing() +
                 ", so commands and plug-ins can read this agent's key, settings and tasks (docs/security.md)");
  }
  return sandbox;
}

// Also for an agent without commands and plug-ins: its configuration may get some later.
Result<ProcessServices> make_services(const Settings& settings, Loop::Options& options, mode_t umask_of_commands) {
  ProcessServices services;
  services.log = [](log::Level level, const std::string& text) { log::write(level, text); };
  auto scratch = ScratchRoot::open(std::filesystem::absolute(settings.work).string() + "/scratch", services.log);
  if (!scratch) return scratch.error();
  services.scratch = *scratch;
  services.spawner = std::make_shared<Spawner>(umask_of_commands, make_sandbox(settings));
  // The files of the identity are for the broker and for the coordinator; a coordinator without TLS needs none.
  http::Credentials credentials;
  if (settings.coordinator.starts_with("https://")) {
    credentials = {.ca = settings.broker_ca, .certificate = settings.broker_certificate, .key = settings.broker_key};
  }
  if (!settings.coordinator.empty()) {
    options.watch = std::make_shared<CoordinatorWatch>(settings.coordinator, credentials);
  }
  options.artifacts = std::make_shared<ArtifactSpool>(
      settings.work + "/spool/artifacts",
      std::make_unique<HttpArtifacts>(settings.coordinator, options.watch, credentials), ArtifactSpool::Bounds{});
  services.artifacts = options.artifacts;
  const auto at_once = std::make_shared<std::stop_source>();
  services.at_once = at_once->get_token();
  options.end_at_once = [at_once] { at_once->request_stop(); };
  options.freeze_work = [groups = services.spawner->groups()](bool frozen) { groups->freeze(frozen); };
  return services;
}

struct Who {
  std::optional<Identity> identity;  // none: an agent of a fleet without setup
  bool stopped = false;              // a stop was requested
};

// What it has joined, or what a token lets it join now, which may have to wait for the coordinator.
Result<std::optional<Identity>> load_or_join(const Settings& settings, const std::string& token,
                                             const std::stop_token& stop) {
  if (const auto completed = take_rejoined(settings.work); !completed) return completed.error();
  auto identity = load_identity(settings.work);
  if (!identity) return identity;
  if (!*identity) return join_at_start(settings, token, stop);
  // Its certificate may be good for a day, but the coordinator has forgotten who it was.
  if ((*identity)->ephemeral && is_forgotten(settings.work, **identity, stop)) {
    if (auto removed = forget_identity(settings.work); !removed) return removed.error();
    auto joined = join_at_start(settings, token, stop);
    if (!joined || *joined) return joined;
    return invalid("the coordinator has forgotten this ephemeral agent; start it with its join token");
  }
  erase_boot_files(settings, **identity);
  return identity;
}

Result<Who> find_identity(Settings& settings, const std::string& token) {
  std::stop_source stop;
  auto identity = [&] {
    const Signals signals([&] { stop.request_stop(); });
    return load_or_join(settings, token, stop.get_token());
  }();
  if (stop.stop_requested()) return Who{{}, true};  // also if it came when that was done
  if (!identity) return identity.error();
  if (!*identity) return Who{};
  if (auto taken = take_identity(settings, **identity); !taken) return taken.error();
  // The owner may name another address of the coordinator.
  if (settings.coordinator.starts_with("https://")) (*identity)->coordinator = settings.coordinator;
  return Who{std::move(*identity), false};
}

// Keys of providers may be in the environment. What the system shows of it (/proc/PID/environ) is where it was at the
// start; that place is overwritten, and this program has a copy.
void hide_environment() {
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    char* const copy = ::strdup(*one);
    if (copy == nullptr) continue;
    std::memset(*one, 'x', std::strlen(*one));
    *one = copy;
  }
}

struct CommandLine {
  int argc = 0;
  const char* const* argv = nullptr;
  std::string token{};  // that was taken out of it
};

Status run(Settings settings, const CommandLine& line, mode_t umask_of_commands) {
  FolderLock lock;
  if (auto taken = take_work_folder(lock, settings.work); !taken) return taken;
  const auto who = find_identity(settings, line.token);
  if (!who) return who.error();
  if (who->stopped) return success();
  auto made = loop_options(settings);
  if (!made) return made.error();
  Loop::Options options = std::move(*made);
  const std::string work = settings.work;
  options.machine = machine_identity(settings.work);
  write_start_line(settings, options);
  const auto named = choose_name(settings, options);
  if (!named) return named.error();
  if (!*named) return success();
  auto services = make_services(settings, options, umask_of_commands);
  if (!services) return services.error();
  RunningConfiguration configuration(std::move(settings), line.argc, line.argv, std::move(*services));
  options.read_again = [&] { return configuration.read_again(); };
  auto executors = configuration.executors();
  if (executors.empty())
    log::warning("this agent offers nothing: no --echo, no [[command]], no [[plugin]], no [[llm]]");
  Loop loop(std::move(options), std::move(executors));
  std::atomic<bool> forgotten{false};
  const std::jthread renewal([&](const std::stop_token& stop) {
    if (!who->identity) return;
    keep_renewing(stop, work, *who->identity, [&] {
      forgotten = true;
      loop.request_stop();
    });
  });
  const Signals signals([&] { loop.request_stop(); }, [&] { loop.reload(); });
  auto ended = loop.run();
  if (!ended || !forgotten) return ended;
  return Error{"the coordinator has forgotten this ephemeral agent, which was away for too long; start it again"};
}

}  // namespace

int main(int argc, char** argv) {
  const TokenText token = take_token(argc, argv);
  hide_environment();
  prctl(PR_SET_DUMPABLE, 0);  // commands have the same user, and must not read its secrets
  const mode_t inherited = umask(077);  // tasks and results are private; commands do as their owner wants
  block_signals();
  const CommandLine line{static_cast<int>(token.arguments.size()), token.arguments.data(), token.text};
  Settings settings;
  JoinCommand join(settings);
  const auto declare = [&](Configuration& configuration) { join.declare(configuration); };
  if (const auto code = read_settings(settings, line.argc, line.argv, declare)) return *code;
  if (auto logging = log::start(program, settings.log_level); !logging) {
    return wrong_usage(program, logging.error().message);
  }
  if (join.given()) return join.run(token.text);
  const auto options = loop_options(settings);
  if (!options) return wrong_usage(program, options.error().message);
  const auto ended = run(std::move(settings), line, inherited);
  return ended ? 0 : give_up(program, ended.error().message);
}
