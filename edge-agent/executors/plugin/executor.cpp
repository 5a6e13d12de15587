#include "edge-agent/executors/plugin/executor.hpp"

#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>

#include "common/core/utf8.hpp"
#include "common/files/trusted.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/files/artifacts.hpp"
#include "edge-agent/executors/outcome.hpp"
#include "edge-agent/executors/plugin/output.hpp"
#include "edge-agent/executors/process/pipe_io.hpp"

namespace edgefleet::agent {
namespace {

class ClosedTicket {
 public:
  ClosedTicket(PluginDesk& desk, const PluginDesk::Ticket& ticket) : desk_(desk), ticket_(ticket) {}
  ClosedTicket(const ClosedTicket&) = delete;
  ClosedTicket& operator=(const ClosedTicket&) = delete;
  ClosedTicket(ClosedTicket&&) = delete;
  ClosedTicket& operator=(ClosedTicket&&) = delete;
  ~ClosedTicket() { desk_.close(ticket_); }

 private:
  PluginDesk& desk_;
  const PluginDesk::Ticket& ticket_;
};

// The script of an interpreter, and where it looks for more; the program itself was checked when it was found.
Status check_script(const PluginConfig& config) {
  if (!config.cwd.empty()) {
    if (auto trusted = check_trusted(config.cwd, "cwd"); !trusted) return trusted;
  }
  if (config.argv.size() < 2) return success();
  const auto script = std::filesystem::path(config.cwd) / config.argv[1];
  std::error_code unknown;
  return std::filesystem::is_regular_file(script, unknown) ? check_trusted(script, "argv") : success();
}

}  // namespace

PluginExecutor::PluginExecutor(PluginConfig config, ProcessServices services, PluginTimes times)
    : config_(std::move(config)), services_(std::move(services)), times_(times) {}

PluginExecutor::~PluginExecutor() { gate_.close(); }

void PluginExecutor::start(OnOffer on_offer) {
  on_offer_ = std::move(on_offer);
  offer_nothing("is starting", true);  // its hello has a time limit
  supervisor_ = std::jthread([this](const std::stop_token& stop) { supervise(stop); });
}

void PluginExecutor::supervise(const std::stop_token& stop) {
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  const auto wake_up = [this] { desk_.wake().signal(); };
  const std::stop_callback asked(stop, wake_up);
  const std::stop_callback hurried(services_.at_once, wake_up);
  int failures = 0;
  while (!stop.stop_requested()) {
    up_at_.reset();
    const std::string why = "plug-in " + config_.name + ' ' + live(stop);
    desk_.set_down({"plugin_died", why, true, {}});
    if (stop.stop_requested()) return;
    failures = up_at_ && monotonic_now() - *up_at_ >= times_.well ? 1 : failures + 1;
    const Duration wait = config_.restart.ceiling(failures);
    write_log(services_.log, Severity::warning,
              why + "; it is started again in " + std::to_string(to_ms(wait)) + " ms");
    offer_nothing(why);
    pause(stop, wait);
  }
}

std::string PluginExecutor::live(const std::stop_token& stop) {
  const auto child_spec = spec();
  if (!child_spec) return "cannot be started: " + child_spec.error().message;
  auto process = services_.spawner->spawn(*child_spec);
  if (!process) return "cannot be started: " + process.error().message;
  PluginChild child(std::move(*process), config_.name, desk_, times_, services_);
  return child.serve(stop, [this](const PluginHello& hello) { offer(hello); });
}

Result<ProcessSpec> PluginExecutor::spec() const {
  ProcessSpec spec;
  auto program = find_program(config_.argv.front(), path_of(config_.env));
  if (!program) return program.error();
  if (auto trusted = check_script(config_); !trusted) return trusted.error();
  spec.program = std::move(*program);
  spec.argv = config_.argv;
  auto folder = services_.scratch->folder_of(config_.executor);
  if (!folder) return folder.error();
  spec.env = make_environment(config_.env, *folder);
  spec.env[ScratchRoot::marker] = services_.scratch->dir();
  spec.cwd = config_.cwd;
  spec.own_folder = std::move(*folder);
  spec.sandboxed = config_.sandbox;
  spec.pipe_stdin = true;
  return spec;
}

void PluginExecutor::offer(const PluginHello& hello) {
  up_at_ = monotonic_now();
  {
    const std::lock_guard lock(mutex_);
    last_hello_ = hello;
    problem_ = "it already has this attempt";
  }
  desk_.set_up();  // before the offer, which brings tasks
  ExecutorInfo info;
  info.name = config_.executor;
  info.capabilities = hello.capabilities;
  info.slots = hello.slots;
  write_log(services_.log, Severity::info, "plug-in " + config_.name + ' ' + hello.version + " is up");
  on_offer_(std::move(info));
}

void PluginExecutor::offer_nothing(const std::string& problem, bool ends_soon) {
  ExecutorInfo info;
  info.name = config_.executor;
  info.capabilities = last_hello_.capabilities;
  info.slots = last_hello_.slots;
  info.problem = cut_front(problem, most_problem_bytes);
  info.rests = ends_soon;
  {
    const std::lock_guard lock(mutex_);
    problem_ = problem;
  }
  on_offer_(std::move(info));
}

void PluginExecutor::pause(const std::stop_token& stop, Duration most) const {
  const Time until = monotonic_now() + most;
  while (!stop.stop_requested() && monotonic_now() < until) {
    std::array<pollfd, 1> fds{{{desk_.wake().get(), POLLIN, 0}}};
    poll_for(fds, until - monotonic_now());
    desk_.wake().drain();
  }
}

std::map<Capability, JsonText> PluginExecutor::parameters() const {
  const std::lock_guard lock(mutex_);
  return last_hello_.parameters;
}

std::string PluginExecutor::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

RunOutcome PluginExecutor::run(const Job& job, std::stop_token stop, const OnProgress& on_progress) {
  const RunGate::Entry inside(gate_);
  return without_exceptions([&] { return run_limited(job, std::move(stop), on_progress); });
}

RunOutcome PluginExecutor::run_limited(const Job& job, std::stop_token stop, const OnProgress& on_progress) {
  RunLimit limit(std::move(stop), gate_.closing(), services_.spawner->groups(), job.timeout);
  const auto scratch = services_.scratch->make_in(config_.executor, job.id, job.attempt);
  if (!scratch) return failed_by(scratch.error());
  RunOutcome outcome = run_in(*scratch, job, limit, on_progress);
  // The stop or the timeout is the reported reason, not a failure that it caused.
  if (outcome.error && limit.stopped()) return cancelled_outcome();
  if (outcome.error && limit.timed_out()) return timed_out_outcome(job.timeout, *outcome.error);
  return bounded(std::move(outcome), job.most_output_bytes);
}

RunOutcome PluginExecutor::run_in(const Scratch& scratch, const Job& job, RunLimit& limit,
                                  const OnProgress& on_progress) {
  if (!json::well_formed(job.input)) return failed("bad_input", "the input is not JSON", false);
  const auto laid = lay_input(job.input, scratch.in_dir());
  if (!laid) return failed("bad_input", laid.error().message, false);
  if (!laid->artifacts.empty()) {
    const auto fetched = scratch.lay(*services_.artifacts, laid->artifacts, config_.file_limits, limit.transfers());
    if (!fetched) return failed_by_input(fetched.error());
  }
  if (limit.over()) return failed("cancelled", "it was cancelled before it started", false);
  // Without artifacts the input is passed on unchanged, byte for byte.
  const std::string& input = laid->artifacts.empty() ? job.input : laid->input;
  const auto ticket = desk_.open({job.id, job.attempt}, task_line(job, input, scratch.dir()), job.most_output_bytes);
  if (!ticket) return failed("plugin_unavailable", problem(), true);
  const ClosedTicket closed(desk_, *ticket);
  const PluginResult result = await(*ticket, limit, on_progress);
  return take_over(result, scratch, limit);
}

PluginResult PluginExecutor::await(PluginDesk::Ticket& ticket, RunLimit& limit, const OnProgress& on_progress) {
  while (!limit.over()) {
    for (const auto& progress : desk_.wait(ticket, limit.stop(), limit.left())) {
      if (on_progress) on_progress(progress);
    }
    if (auto result = desk_.result(ticket)) return *result;
  }
  desk_.cancel(ticket);
  return await_cancelled(ticket);
}

// The scratch folder may be removed only when the plug-in has finished with it, or when its process ends.
PluginResult PluginExecutor::await_cancelled(PluginDesk::Ticket& ticket) {
  const Time until = monotonic_now() + times_.cancel;
  bool given_up = false;
  while (!gate_.closing().stop_requested()) {
    if (auto result = desk_.result(ticket)) return *result;
    const Duration left = until - monotonic_now();
    if (left <= Duration{0} && !given_up) {
      desk_.give_up(ticket);  // kills the plug-in, which ends the ticket
      given_up = true;
    }
    desk_.wait(ticket, gate_.closing(), given_up ? Duration(std::chrono::seconds(1)) : left);
  }
  return {ticket.key, "null", TaskError{"cancelled", "the agent is stopping", false, {}}};
}

RunOutcome PluginExecutor::take_over(const PluginResult& result, const Scratch& scratch, RunLimit& limit) {
  // Too late for a success to count, even if the plug-in has not noticed.
  if (limit.over()) return failed("cancelled", "it was cancelled", false);
  if (result.error) return failed(result.error->code, result.error->message, result.error->retryable);
  auto output =
      store_output_files(result.output, scratch, config_.file_limits, *services_.artifacts, limit.transfers());
  if (output) return {std::move(*output), std::nullopt, {}};
  if (output.error().kind == ErrorKind::invalid) return failed("plugin_error", output.error().message, false);
  return failed_by(output.error());
}

}  // namespace edgefleet::agent
