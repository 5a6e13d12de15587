#include "edge-agent/executors/command/executor.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/core/error_text.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/outcome.hpp"

namespace edgefleet::agent {
namespace {

void append_stream(std::string& out, const BoundedOutput& stream, std::size_t bound) {
  json::ObjectWriter writer(out);
  writer.string("text", stream.text(bound));
  writer.unsigned_integer("bytes", stream.bytes());
  writer.boolean("truncated", stream.truncated(bound));
}

void append_artifacts(std::string& out, const std::vector<StoredFile>& files) {
  json::ArrayWriter array(out);
  for (const auto& file : files) {
    json::ObjectWriter writer(array.next());
    writer.string("artifact", file.artifact);
    writer.string("name", file.name);
    writer.unsigned_integer("bytes", file.bytes);
  }
}

// A file without a name: a pipe would need a thread that writes to it.
Result<UniqueFd> memory_file(std::string_view text) {
  UniqueFd fd(::memfd_create("stdin", MFD_CLOEXEC));
  while (fd && !text.empty()) {
    const auto written = ::write(fd.get(), text.data(), text.size());
    if (written < 0) return Error{"making the standard input: " + error_text(errno), ErrorKind::unavailable};
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!fd || ::lseek(fd.get(), 0, SEEK_SET) != 0) return Error{"making the standard input", ErrorKind::unavailable};
  return fd;
}

Result<UniqueFd> open_stdin(const Invocation& invocation) {
  if (invocation.stdin_text) return memory_file(*invocation.stdin_text);
  if (invocation.stdin_path.empty()) return UniqueFd();
  UniqueFd fd(::open(invocation.stdin_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error{"opening " + invocation.stdin_path + ": " + error_text(errno), ErrorKind::internal};
  return fd;
}

}  // namespace

// The report of a run, independent of how it ended.
struct CommandExecutor::Report {
  explicit Report(std::size_t bound) : out(bound), err(bound) {}

  BoundedOutput out;
  BoundedOutput err;
  ExitStatus status;
  std::vector<StoredFile> files;
  Time began = monotonic_now();

  // Control characters take six bytes in JSON, so the kept output may not fit: then it is shortened further.
  [[nodiscard]] JsonText output() const {
    constexpr std::size_t most = limits::input_bytes - 6 * limits::error_bytes;
    std::size_t bound = out.bound();
    std::string text = output(bound);
    while (text.size() > most && bound > 0) text = output(bound /= 2);
    return text;
  }

 private:
  [[nodiscard]] JsonText output(std::size_t bound) const {
    std::string text;
    {
      json::ObjectWriter writer(text);
      if (status.code) {
        writer.integer("exit_code", *status.code);
      } else {
        writer.string("signal", signal_name(status.signal));
      }
      append_stream(writer.key("stdout"), out, bound);
      append_stream(writer.key("stderr"), err, bound);
      append_artifacts(writer.key("artifacts"), files);
      writer.integer("duration_ms", to_ms(monotonic_now() - began));
    }
    return text;
  }
};

CommandExecutor::CommandExecutor(CommandConfig config, ProcessServices services, ProcessGraces graces)
    : config_(std::move(config)), services_(std::move(services)), graces_(graces) {}

CommandExecutor::~CommandExecutor() { gate_.close(); }

void CommandExecutor::start(OnOffer on_offer) {
  ExecutorInfo info;
  info.name = config_.executor;
  info.slots = config_.slots;
  const auto program = find_program(config_.program(), path_of(config_.env));
  info.capabilities = {config_.capability};
  if (!program) {
    info.problem = cut_front(program.error().message, most_problem_bytes);
    write_log(services_.log, Severity::error, config_.executor.str() + " is out of service: " + info.problem);
  }
  on_offer(std::move(info));
}

RunOutcome CommandExecutor::run(const Job& job, std::stop_token stop, const OnProgress& /*on_progress*/) {
  const RunGate::Entry inside(gate_);
  return without_exceptions([&] { return run_limited(job, std::move(stop)); });
}

RunOutcome CommandExecutor::run_limited(const Job& job, std::stop_token stop) {
  const Duration timeout = std::min(job.timeout, config_.timeout);
  RunLimit limit(std::move(stop), gate_.closing(), services_.spawner->groups(), timeout);
  auto scratch = services_.scratch->make(job.id, job.attempt);
  if (!scratch) return failed_by(scratch.error());
  RunOutcome outcome = run_in(*scratch, job, limit);
  // The stop or the timeout is the reported reason, not a failure that it caused.
  if (outcome.error && limit.stopped()) return cancelled_outcome(std::move(outcome.output));
  if (outcome.error && outcome.error->code != "exit_status" && limit.timed_out()) {
    const TaskError cause = *outcome.error;
    return timed_out_outcome(timeout, cause, std::move(outcome.output));
  }
  return outcome;
}

RunOutcome CommandExecutor::run_in(const Scratch& scratch, const Job& job, RunLimit& limit) {
  const auto invocation = config_.bind(job.input, scratch.in_dir());
  if (!invocation) return failed("bad_input", invocation.error().message, false);
  if (!invocation->artifacts.empty()) {
    const auto laid = scratch.lay(*services_.artifacts, invocation->artifacts, config_.file_limits, limit.transfers());
    if (!laid) return failed_by_input(laid.error());
  }
  if (limit.over()) return failed("cancelled", "it was cancelled before it started", false);
  Report report(config_.output_bytes);
  return execute(*invocation, scratch, limit, report);
}

Result<ProcessSpec> CommandExecutor::spec_of(const Invocation& invocation, const Scratch& scratch) const {
  ProcessSpec spec;
  auto program = find_program(config_.program(), path_of(config_.env));
  if (!program) return program.error();
  spec.program = std::move(*program);
  spec.argv = invocation.argv;
  spec.cwd = scratch.dir();
  spec.own_folder = scratch.dir();
  spec.sandboxed = config_.sandbox;
  spec.env = make_environment(config_.env, scratch.dir());
  spec.env[ScratchRoot::marker] = services_.scratch->dir();
  return spec;
}

RunOutcome CommandExecutor::execute(const Invocation& invocation, const Scratch& scratch, RunLimit& limit,
                                    Report& report) {
  auto spec = spec_of(invocation, scratch);
  if (!spec) return failed("command_not_found", spec.error().message, true);
  const auto in = open_stdin(invocation);
  if (!in) return failed_by(in.error());
  spec->stdin_file = in->get();
  auto process = services_.spawner->spawn(*spec);
  if (!process) return failed("command_not_started", process.error().message, true);
  CommandRun run(std::move(*process), limit, graces_, report.out, report.err);
  return conclude(run.drive(), scratch, limit, report);
}

RunOutcome CommandExecutor::conclude(const CommandEnd& end, const Scratch& scratch, RunLimit& limit, Report& report) {
  report.status = end.status;
  if (end.status.left)
    write_log(services_.log, Severity::error, config_.executor.str() + " left a process that cannot be killed");
  if (end.why == CommandEnd::Why::stopped) return cancelled_outcome(report.output());
  if (end.why == CommandEnd::Why::timed_out) return failed("timed_out", "", true, report.output());
  if (!end.status.code) {
    return failed("killed", "the command was ended by " + describe(end.status), true, report.output());
  }
  auto files = scratch.collect(*services_.artifacts, config_.file_limits, limit.transfers());
  if (files) report.files = std::move(*files);
  RunOutcome outcome = exit_outcome(*end.status.code, report);
  if (files) return outcome;
  if (!outcome.error) return failed_by(files.error(), report.output());
  // The failure of the command comes first; the failure of its files is appended.
  return failed(outcome.error->code, outcome.error->message + "; its files are not kept: " + files.error().message,
                outcome.error->retryable, report.output());
}

RunOutcome CommandExecutor::exit_outcome(int code, const Report& report) const {
  if (code == 0) return {report.output(), std::nullopt, {}};
  const std::string err = report.err.text();
  const auto last = cut_back(err, 1024);
  return failed("exit_status", "exit code " + std::to_string(code) + (last.empty() ? "" : ": " + std::string(last)),
                config_.retry_exit_codes.contains(code), report.output());
}

}  // namespace edgefleet::agent
