#include "edge-agent/executors/process/spawner.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "common/core/error_text.hpp"
#include "edge-agent/executors/process/pidfd.hpp"
#include "edge-agent/executors/process/pipe_io.hpp"
#include "edge-agent/executors/process/supervisor.hpp"

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

// All data of the child, valid until its exec.
struct Launch {
  std::vector<std::string> argv;
  std::vector<std::string> env;
  std::vector<char*> argv_pointers;
  std::vector<char*> env_pointers;
  std::string oom_score_adj;
  UniqueFd child_in;
  UniqueFd ruleset;
  Pipe in, out, err, report, lifeline, news;
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
  for (Pipe* pipe : {&launch.out, &launch.err, &launch.report, &launch.lifeline, &launch.news}) {
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
  plan.ruleset = launch.ruleset.get();
  plan.oom_score_adj = launch.oom_score_adj;
  return plan;
}

// A supervisor keeps all signals blocked; the leader unblocks them after it has reset the agent's handlers.
pid_t fork_supervisor(const ChildPlan& plan, int lifeline, int news) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) supervise(plan, lifeline, news);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

Error explain(const ProcessSpec& spec, const ChildFailure& failure) {
  switch (failure.step) {
    case ChildStep::die_with_parent:
      return system_error("setting the parent-death signal", failure.error);
    case ChildStep::session:
      return system_error("making its session", failure.error);
    case ChildStep::directory:
      return system_error("entering " + spec.cwd, failure.error);
    case ChildStep::stdio:
      return system_error("connecting its pipes", failure.error);
    case ChildStep::sandbox:
      return system_error("restricting it", failure.error);
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

// The first words of a supervisor and of its child. A command may stop its supervisor before it has said them.
struct Beginning {
  pid_t leader = -1;
  int error = ETIMEDOUT;  // if there is no leader
  std::optional<ChildFailure> failure;
};
Beginning hear_beginning(const Launch& launch, pid_t supervisor) {
  Beginning begun;
  Patience patience(start_patience);
  if (!wait_for_supervisor(launch.news.read, supervisor, patience)) return begun;
  const auto news = read_record<SupervisorNews>(launch.news.read);
  begun.error = news ? news->error : ESRCH;
  if (!news || news->what != SupervisorNews::What::started) return begun;
  begun.leader = news->leader;
  if (wait_for_supervisor(launch.report.read, supervisor, patience)) {
    begun.failure = read_record<ChildFailure>(launch.report.read);
  }
  return begun;
}

bool watch(const UniqueFd& watcher, const UniqueFd& fd) {
  epoll_event readable{};
  readable.events = EPOLLIN;
  return ::epoll_ctl(watcher.get(), EPOLL_CTL_ADD, fd.get(), &readable) == 0;
}

// The end of the leader is seen without its supervisor too, which may be stopped.
Status watch_end(Process::Hold& hold) {
  hold.end = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!hold.end || !watch(hold.end, hold.news)) return system_error("watching a process", errno);
  hold.leader_end = open_pidfd(hold.leader);
  if (hold.leader_end && !watch(hold.end, hold.leader_end)) return system_error("watching a process", errno);
  return success();
}

}  // namespace

Result<Process> Spawner::spawn(const ProcessSpec& spec) const {
  Launch launch;
  if (auto prepared = prepare(spec, launch); !prepared) return prepared.error();
  const bool sandboxed = sandbox_ && spec.sandboxed;
  if (sandboxed) {
    auto ruleset = sandbox_->ruleset_for(spec.own_folder);
    if (!ruleset) return ruleset.error();
    launch.ruleset = above_stdio(std::move(*ruleset));
  }
  ChildPlan plan = plan_of(spec, launch);
  if (umask_) plan.umask = static_cast<int>(*umask_);
  const pid_t supervisor =
      children_->add([&] { return fork_supervisor(plan, launch.lifeline.read.get(), launch.news.write.get()); });
  if (supervisor < 0) return system_error("making a process", errno);
  launch.child_in.reset();
  for (Pipe* pipe : {&launch.out, &launch.err, &launch.report, &launch.news}) pipe->write.reset();
  launch.lifeline.read.reset();
  const Beginning begun = hear_beginning(launch, supervisor);
  launch.ruleset.reset();
  for (const UniqueFd* fd : {&launch.in.write, &launch.out.read, &launch.err.read}) do_not_block(*fd);
  if (begun.leader > 0) children_->add_leader(begun.leader);
  Process::Hold hold{supervisor, begun.leader, std::move(launch.news.read), std::move(launch.lifeline.write), {}, {}};
  const Status watched = begun.leader > 0 ? watch_end(hold) : success();
  Process process(groups_, children_, std::move(hold), std::move(launch.in.write), std::move(launch.out.read),
                  std::move(launch.err.read));
  if (begun.leader < 0) return system_error("making a process", begun.error);
  if (begun.failure) return explain(spec, *begun.failure);
  if (!watched) return watched.error();
  if (sandboxed) sandbox_->prepare();  // the child runs already
  return process;
}

}  // namespace edgefleet::agent
