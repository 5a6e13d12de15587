#include "edge-agent/executors/process/process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>

#include "edge-agent/executors/process/leftovers.hpp"
#include "edge-agent/executors/process/pipe_io.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/executors/support.hpp"

namespace edgefleet::agent::test {
namespace {

ProcessSpec shell(const std::string& script) {
  ProcessSpec spec;
  spec.program = "/bin/sh";
  spec.argv = {"sh", "-c", script};
  spec.env = {{"PATH", "/usr/bin:/bin"}};
  return spec;
}

std::string read_all(Process& process) {
  std::string all;
  while (process.out) {
    std::array<pollfd, 1> fds{{{process.out.get(), POLLIN, 0}}};
    poll_for(fds, 10s);
    read_some(process.out, [&](std::string_view bytes) { all += bytes; });
  }
  return all;
}

std::string output_of(const std::string& script) {
  Spawner spawner;
  auto process = spawner.spawn(shell(script));
  REQUIRE(process.ok());
  return read_all(*process);
}

bool wait_exit(const Process& process) {
  return eventually([&] { return process.exited(); });
}

TEST_CASE("a child has its own arguments and environment, not the agent's") {
  ::setenv("EDGEFLEET_TEST_SECRET", "hush", 1);
  CHECK(output_of("echo $EDGEFLEET_TEST_SECRET; env | grep -c . ; env | grep PATH=") == "\n2\nPATH=/usr/bin:/bin\n");
}

TEST_CASE("a child inherits only its three pipes from the agent") {
  const UniqueFd leaked(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC
  REQUIRE(leaked.get() > 2);
  CHECK(output_of("ls /proc/$$/fd | tr '\\n' ' '; readlink /proc/$$/fd/0").substr(0, 6) == "0 1 2 ");
}

TEST_CASE("a child leads its own session and is the first victim of the OOM killer") {
  const std::string text = output_of("cut -d' ' -f1,5,6 /proc/self/stat; cat /proc/$$/oom_score_adj; echo $$");
  std::istringstream words(text);
  std::string self, group, session, score, shell_pid;
  words >> self >> group >> session >> score >> shell_pid;
  CHECK(group == shell_pid);
  CHECK(session == shell_pid);
  CHECK(score == "1000");
}

TEST_CASE("a child starts with default signals, independent of the agent's") {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const std::string text = output_of("grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'");
  std::signal(SIGPIPE, before);
  CHECK(text == "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
}

TEST_CASE("exit codes and signals are reported") {
  Spawner spawner;
  auto exits = spawner.spawn(shell("exit 7"));
  REQUIRE(exits.ok());
  REQUIRE(wait_exit(*exits));
  CHECK(exits->finish().code == 7);
  auto dies = spawner.spawn(shell("kill -SEGV $$"));
  REQUIRE(dies.ok());
  REQUIRE(wait_exit(*dies));
  CHECK(describe(dies->finish()) == "signal SIGSEGV");
}

TEST_CASE("a program that cannot be run is a clear error") {
  TempDir dir;
  Spawner spawner;
  ProcessSpec spec = shell("");
  spec.program = "/nonexistent/program";
  const auto missing = spawner.spawn(spec);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message == "running /nonexistent/program: No such file or directory");

  spec.program = dir / "no-interpreter";
  write_file(spec.program, "#!/nonexistent/python\n");
  fs::permissions(spec.program, fs::perms::owner_all);
  const auto no_interpreter = spawner.spawn(spec);
  REQUIRE_FALSE(no_interpreter.ok());
  CHECK(no_interpreter.error().message.find("interpreter") != std::string::npos);

  spec.program = dir / "data";
  write_file(spec.program, "no program");
  fs::permissions(spec.program, fs::perms::owner_all);
  const auto data = spawner.spawn(spec);
  REQUIRE_FALSE(data.ok());
  CHECK(data.error().message.find("neither a program") != std::string::npos);

  spec = shell("true");
  spec.cwd = dir / "nowhere";
  const auto no_cwd = spawner.spawn(spec);
  REQUIRE_FALSE(no_cwd.ok());
  CHECK(no_cwd.error().message.find("entering") == 0);
}

// Starts processes that try to escape from the script `$$`, and writes their ids.
std::string runaways(const std::string& dir) {
  return "sleep 1000 & echo $! > " + dir + "/plain; env -i setsid sleep 1000 & echo $! > " + dir +
         "/session; (env -i setsid sh -c 'sleep 1000 & echo $! > " + dir + "/orphan' &) ; echo $$ > " + dir + "/pid;";
}
const std::vector<std::string> runaway_names{"plain", "session", "orphan", "pid"};

bool all_there(const TempDir& dir) {
  return std::all_of(runaway_names.begin(), runaway_names.end(),
                     [&](const auto& name) { return read_pid(dir / name) > 0 && !gone(read_pid(dir / name)); });
}
bool all_gone(const TempDir& dir) {
  return std::all_of(runaway_names.begin(), runaway_names.end(),
                     [&](const auto& name) { return gone(read_pid(dir / name)); });
}

TEST_CASE("finishing a process ends all its descendants, inside and outside its group") {
  for (const bool ends_itself : {false, true}) {
    INFO(ends_itself);
    TempDir dir;
    const Spawner spawner;
    auto process = spawner.spawn(
        shell(runaways(dir.path()) +
              (ends_itself ? "until test -e " + dir / "end" + "; do sleep 0.01; done; exit 3" : std::string("wait"))));
    REQUIRE(process.ok());
    REQUIRE(eventually([&] { return all_there(dir); }));
    CHECK_FALSE(process->exited());
    if (ends_itself) {
      write_file(dir / "end", "");
      REQUIRE(wait_exit(*process));
    }
    const auto status = process->finish();
    CHECK(all_gone(dir));
    CHECK(describe(status) == (ends_itself ? "exit code 3" : "signal SIGKILL"));
    CHECK_FALSE(status.left);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // and no zombie is left
  }
}

// This process adopts the supervisors of an agent that was killed.
bool reap_supervisors() {
  return eventually([] { return ::waitpid(-1, nullptr, WNOHANG) == -1; });
}

TEST_CASE("a killed agent leaves no running processes") {
  TempDir dir;
  const pid_t agent = ::fork();  // acts as the agent
  if (agent == 0) {
    const Spawner spawner;
    const auto process = spawner.spawn(shell(runaways(dir.path()) + "wait"));
    for (;;) ::pause();
  }
  REQUIRE(eventually([&] { return all_there(dir); }));
  ::kill(agent, SIGKILL);
  REQUIRE(::waitpid(agent, nullptr, 0) == agent);
  CHECK(eventually([&] { return all_gone(dir); }));
  CHECK(reap_supervisors());
}

TEST_CASE("a process whose supervisor is killed has ended, with status killed") {
  TempDir dir;
  const Spawner spawner;
  auto process = spawner.spawn(shell("echo $PPID > " + dir / "pid" + "; exec sleep 1000"));
  REQUIRE(process.ok());
  REQUIRE(eventually([&] { return read_pid(dir / "pid") > 0; }));
  ::kill(read_pid(dir / "pid"), SIGKILL);
  CHECK(wait_exit(*process));
  CHECK(describe(process->finish()) == "signal SIGKILL");
}

// The descendants of a command that was hostile to its supervisor are gone, and no zombie is left.
void check_ended(Process& process, const TempDir& dir, const std::string& how) {
  const auto began = std::chrono::steady_clock::now();
  const auto status = process.finish();
  CHECK(std::chrono::steady_clock::now() - began < 5s);
  CHECK(describe(status) == how);
  CHECK_FALSE(status.left);
  CHECK(all_gone(dir));
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("a command that kills its supervisor leaves no orphan") {
  TempDir dir;
  const Spawner spawner;
  auto process = spawner.spawn(shell(runaways(dir.path()) + "until test -s " + dir / "orphan" +
                                     "; do sleep 0.01; done; kill -KILL $PPID; wait"));
  REQUIRE(process.ok());
  REQUIRE(wait_exit(*process));
  CHECK_FALSE(gone(read_pid(dir / "orphan")));
  check_ended(*process, dir, "signal SIGKILL");
}

TEST_CASE("the exit of a command that stops its supervisor is seen, and its descendants are ended") {
  TempDir dir;
  const Spawner spawner;
  auto process = spawner.spawn(shell(runaways(dir.path()) + "until test -s " + dir / "orphan" +
                                     "; do sleep 0.01; done; kill -STOP $PPID; exit 3"));
  REQUIRE(process.ok());
  REQUIRE(wait_exit(*process));
  check_ended(*process, dir, "exit code 3");
}

TEST_CASE("a command that stops its supervisor again and again is ended") {
  TempDir dir;
  const Spawner spawner;
  const std::string stopper =
      "setsid sh -c 'echo $$ > " + dir / "stopper" + "; while kill -STOP '$PPID'; do :; done' &";
  auto process = spawner.spawn(shell("kill -STOP $PPID; " + runaways(dir.path()) + stopper + " wait"));
  REQUIRE(process.ok());
  REQUIRE(eventually([&] { return all_there(dir) && read_pid(dir / "stopper") > 0; }));
  const auto began = std::chrono::steady_clock::now();
  CHECK_FALSE(process->finish().left);
  CHECK(std::chrono::steady_clock::now() - began < 5s);
  CHECK(all_gone(dir));
  CHECK(gone(read_pid(dir / "stopper")));
}

TEST_CASE("children that the agent did not start, and processes of other commands, survive the end of orphans") {
  const pid_t foreign = ::fork();
  if (foreign == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  const Spawner spawner;
  auto other = spawner.spawn(shell("exec sleep 1000"));
  // If the supervisor is killed before it has reported the start, that is a failure to start.
  for (int i = 0; i < 3; ++i) (void)spawner.spawn(shell("kill -KILL $PPID"));
  const bool other_runs = other && !other->exited();
  CHECK(other_runs);
  CHECK_FALSE(gone(foreign));
  ::kill(foreign, SIGKILL);
  CHECK(::waitpid(foreign, nullptr, 0) == foreign);
}

TEST_CASE("a child has the umask of its spawner, or this process's") {
  const Spawner open(0022);
  auto process = open.spawn(shell("umask"));
  REQUIRE(process.ok());
  CHECK(read_all(*process) == "0022\n");
  const mode_t before = ::umask(0031);
  CHECK(output_of("umask") == "0031\n");
  ::umask(before);
}

// Files of a process that is not dumpable belong to root.
TEST_CASE("a command cannot read the memory of its supervisor, and the score of a supervisor is its agent's") {
  const pid_t agent = ::fork();  // as an ordinary user
  if (agent == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    ::prctl(PR_SET_DUMPABLE, 0);
    const Spawner spawner;
    auto process =
        spawner.spawn(shell("stat -c %u /proc/$PPID/stat; cat /proc/$$/oom_score_adj; "
                            "cat /proc/$PPID/oom_score_adj"));
    const std::string own = read_file("/proc/self/oom_score_adj");
    ::_exit(process && read_all(*process) == "0\n1000\n" + own ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(agent, &status, 0) == agent);
  CHECK((WIFEXITED(status) ? WEXITSTATUS(status) : -1) == 0);
}

TEST_CASE("a supervisor that a command has stopped goes on when the agent is killed") {
  TempDir dir;
  const pid_t agent = ::fork();  // acts as the agent
  if (agent == 0) {
    const Spawner spawner;
    const auto process =
        spawner.spawn(shell(runaways(dir.path()) + "kill -STOP $PPID; echo $$ > " + dir / "stopped" + "; wait"));
    for (;;) ::pause();
  }
  REQUIRE(eventually([&] { return all_there(dir) && read_pid(dir / "stopped") > 0; }));
  ::kill(agent, SIGKILL);
  REQUIRE(::waitpid(agent, nullptr, 0) == agent);
  CHECK(eventually([&] { return all_gone(dir); }));
  CHECK(reap_supervisors());
}

TEST_CASE("orphans of a long-lived child are reaped while it runs") {
  TempDir dir;
  const Spawner spawner;
  auto process = spawner.spawn(shell("(sleep 0 & echo $! > " + dir / "pid" + ") ; exec sleep 1000"));
  REQUIRE(process.ok());
  REQUIRE(eventually([&] { return read_pid(dir / "pid") > 0; }));
  CHECK(eventually([&] { return !fs::exists("/proc/" + std::to_string(read_pid(dir / "pid"))); }));
}

TEST_CASE("threads may start processes at the same time, and none has the pipes of another") {
  const Spawner spawner;
  std::vector<std::jthread> threads;
  std::atomic<int> good{0};
  for (int n = 0; n < 8; ++n) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto process = spawner.spawn(shell("echo hello"));
        if (process && read_all(*process) == "hello\n" && process->finish().code == 0) ++good;
      }
    });
  }
  threads.clear();
  CHECK(good == 160);
}

TEST_CASE("frozen groups and their clock are stopped") {
  TempDir dir;
  Spawner spawner;
  auto process =
      spawner.spawn(shell("trap 'echo went on; exit 0' CONT; echo $$ > " + dir / "pid" + "; while :; do :; done"));
  REQUIRE(process.ok());
  REQUIRE(eventually([&] { return read_pid(dir / "pid") > 0; }));
  spawner.groups()->freeze(true);
  const std::string stat = "/proc/" + std::to_string(read_pid(dir / "pid")) + "/stat";
  CHECK(eventually([&] { return read_file(stat).find(") T ") != std::string::npos; }));
  const Time frozen = spawner.groups()->now();
  CHECK(spawner.groups()->now() == frozen);
  spawner.groups()->freeze(false);
  CHECK(spawner.groups()->now() >= frozen);
  CHECK(read_all(*process) == "went on\n");
}

TEST_CASE("a frozen process can still be ended") {
  Spawner spawner;
  auto process = spawner.spawn(shell("sleep 1000"));
  REQUIRE(process.ok());
  spawner.groups()->freeze(true);
  process->terminate();
  CHECK(wait_exit(*process));
  CHECK(process->finish().signal == SIGTERM);
}

TEST_CASE("processes of an earlier run are found by their environment") {
  Spawner spawner;
  auto spec = shell("exec sleep 1000");
  spec.env["EDGEFLEET_TEST_MARK"] = "one";
  auto left = spawner.spawn(spec);
  spec.env["EDGEFLEET_TEST_MARK"] = "one and a half";
  auto other = spawner.spawn(spec);
  REQUIRE(left.ok());
  REQUIRE(other.ok());
  // Its environment can be read a moment after its exec.
  CHECK(eventually([] { return kill_processes_of("EDGEFLEET_TEST_MARK", "one") == 1; }));
  CHECK(wait_exit(*left));
  CHECK_FALSE(other->exited());
}

}  // namespace
}  // namespace edgefleet::agent::test
