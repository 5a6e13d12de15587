#include "edge-agent/executors/spawner.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "edge-agent/executors/pidfd.hpp"
#include "edge-agent/executors/text.hpp"

namespace edgefleet::agent {
namespace {

Error system_error(const std::string& what, int error) {
  const bool passing = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == ETXTBSY;
  return Error{what + ": " + error_text(error), passing ? ErrorKind::unavailable : ErrorKind::invalid};
}

// In a process that was started without stdin, stdout or stderr, new descriptors may take their numbers, and the
// child's dup2() would overwrite them.
UniqueFd above_stdio(UniqueFd fd) {
  if (fd.get() > 2 || !fd) return fd;
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("making a pipe", errno);
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  pipe.read = above_stdio(std::move(pipe.read));
  pipe.write = above_stdio(std::move(pipe.write));
  if (!pipe.read || !pipe.write) return system_error("making a pipe", errno);
  return pipe;
}

void do_not_block(const UniqueFd& fd) {
  if (fd) ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  all.reserve(strings.size() + 1);
  for (auto& text : strings) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// Everything that the child needs, alive until it is another program.
struct Launch {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::vector<char*> argv_pointers;
  std::vector<char*> env_pointers;
  std::string oom_score_adj;
  UniqueFd child_in;
  Pipe in, out, err, report;
};

Status open_stdin(const ProcessSpec& spec, Launch& launch) {
  if (spec.pipe_stdin) {
    auto in = make_pipe();
    if (!in) return in.error();
    launch.child_in = std::move(in->read);
    launch.in = std::move(*in);
    return success();
  }
  const int fd =
      spec.stdin_file >= 0 ? ::fcntl(spec.stdin_file, F_DUPFD_CLOEXEC, 3) : ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  launch.child_in = above_stdio(UniqueFd(fd));
  if (!launch.child_in) return system_error("opening its standard input", errno);
  return success();
}

Status prepare(const ProcessSpec& spec, Launch& launch) {
  launch.argv = spec.argv;
  for (const auto& [key, value] : spec.env) launch.env.push_back(key + "=" + value);
  launch.argv_pointers = pointers(launch.argv);
  launch.env_pointers = pointers(launch.env);
  launch.oom_score_adj = std::to_string(spec.oom_score_adj);
  if (auto opened = open_stdin(spec, launch); !opened) return opened;
  for (Pipe* pipe : {&launch.out, &launch.err, &launch.report}) {
    auto made = make_pipe();
    if (!made) return made.error();
    *pipe = std::move(*made);
  }
  return success();
}

ChildPlan plan_of(const ProcessSpec& spec, const Launch& launch) {
  ChildPlan plan;
  plan.program = spec.program.c_str();
  plan.argv = launch.argv_pointers.data();
  plan.env = launch.env_pointers.data();
  plan.cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str();
  plan.stdio[0] = launch.child_in.get();
  plan.stdio[1] = launch.out.write.get();
  plan.stdio[2] = launch.err.write.get();
  plan.report = launch.report.write.get();
  plan.parent = ::getpid();
  plan.oom_score_adj = launch.oom_score_adj;
  return plan;
}

std::optional<ChildFailure> read_report(const UniqueFd& report) {
  ChildFailure failure;
  ssize_t got = 0;
  do {
    got = ::read(report.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof failure)) return std::nullopt;
  return failure;
}

Error explain(const ProcessSpec& spec, const ChildFailure& failure) {
  switch (failure.step) {
    case ChildStep::die_with_parent:
      return system_error("binding it to the agent's life", failure.error);
    case ChildStep::session:
      return system_error("making its session", failure.error);
    case ChildStep::directory:
      return system_error("entering " + spec.cwd, failure.error);
    case ChildStep::stdio:
      return system_error("connecting its pipes", failure.error);
    case ChildStep::exec:
      break;
  }
  if (failure.error == ENOEXEC) {
    return Error{spec.program + " is neither a program for this machine nor a script with a #! line",
                 ErrorKind::invalid};
  }
  const bool no_interpreter = failure.error == ENOENT && ::access(spec.program.c_str(), F_OK) == 0;
  return system_error("running " + spec.program + (no_interpreter ? " (the interpreter in its #! line)" : ""),
                      failure.error);
}

}  // namespace

Spawner::Spawner() : thread_([this](const std::stop_token& stop) { serve(stop); }) {}

Spawner::~Spawner() {
  thread_.request_stop();
  changed_.notify_all();
}

void Spawner::serve(const std::stop_token& stop) {
  // Inherited by the children, who unblock them after they have dropped the agent's handlers.
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !requests_.empty(); })) {
    Request& request = *requests_.front();
    requests_.pop_front();
    lock.unlock();
    fork_on_thread(request);
    lock.lock();
    request.done = true;
    changed_.notify_all();
  }
}

void Spawner::fork_on_thread(Request& request) {
  request.pid = ::fork();
  if (request.pid == 0) become(request.plan);
  if (request.pid < 0) request.error = errno;
}

Result<Process> Spawner::spawn(const ProcessSpec& spec) {
  Launch launch;
  if (auto prepared = prepare(spec, launch); !prepared) return prepared.error();
  Request request;
  request.plan = plan_of(spec, launch);
  {
    std::unique_lock lock(mutex_);
    requests_.push_back(&request);
    changed_.notify_all();
    changed_.wait(lock, [&request] { return request.done; });
  }
  if (request.pid < 0) return system_error("making a process", request.error);
  launch.child_in.reset();
  launch.out.write.reset();
  launch.err.write.reset();
  launch.report.write.reset();
  const auto failure = read_report(launch.report.read);
  UniqueFd exit_fd = open_pidfd(request.pid);
  const int no_pidfd = exit_fd ? 0 : errno;
  for (const UniqueFd* fd : {&launch.in.write, &launch.out.read, &launch.err.read}) do_not_block(*fd);
  Process process(groups_, request.pid, std::move(exit_fd), std::move(launch.in.write), std::move(launch.out.read),
                  std::move(launch.err.read));
  if (failure) return explain(spec, *failure);
  if (no_pidfd != 0) return system_error("watching the process", no_pidfd);
  return process;
}

}  // namespace edgefleet::agent
