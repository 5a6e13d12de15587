#include "edge-agent/executors/process/sandbox.hpp"

#include <sys/stat.h>

#include "edge-agent/executors/process/pipe_io.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/executors/support.hpp"

namespace edgefleet::agent::test {
namespace {

// A folder with something to hide and something beside it. The temporary folder itself is on the way, and so is `way`.
struct House {
  TempDir dir;
  std::string key = dir / "way/work/agent.key";
  std::string own = dir / "way/work/scratch/own";
  std::string other = dir / "way/work/scratch/other";
  std::string settings = dir / "way/agent.toml";
  std::string beside = dir / "way/beside";
  std::string file_beside = dir / "way/file";

  House() {
    for (const auto& folder : {own, other, beside}) fs::create_directories(folder);
    for (const auto& file : {key, own + "/f", other + "/f", settings, beside + "/f", file_beside}) {
      write_file(file, "text");
    }
  }
  [[nodiscard]] std::vector<std::string> hidden() const { return {dir / "way/work", settings}; }
};

std::string said_by(const Spawner& spawner, const std::string& script, const std::string& own = "",
                    bool sandboxed = true) {
  ProcessSpec spec;
  spec.program = "/bin/sh";
  spec.argv = {"sh", "-c", script};
  spec.env = {{"PATH", "/usr/bin:/bin"}};
  spec.own_folder = own;
  spec.sandboxed = sandboxed;
  auto process = spawner.spawn(spec);
  REQUIRE(process.ok());
  std::string all;
  while (process->out) {
    std::array<pollfd, 1> fds{{{process->out.get(), POLLIN, 0}}};
    poll_for(fds, 10s);
    read_some(process->out, [&](std::string_view bytes) { all += bytes; });
  }
  return all;
}

// "yes" or "no" for each command.
std::string tried(const Spawner& spawner, const std::vector<std::string>& commands, const std::string& own = "") {
  std::string script = "exec 2>/dev/null\n";
  for (const auto& command : commands)
    script += "if " + command + " >/dev/null; then printf 'yes '; else printf 'no '; fi\n";
  return said_by(spawner, script, own);
}

// Without it, the tests that need it say so and end.
bool no_landlock() {
  const auto version = landlock::version();
  if (!version) WARN("not tested: " << version.error().message);
  return !version.ok();
}

std::string yes(std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += "yes ";
  return all;
}
std::string no(std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += "no ";
  return all;
}

TEST_CASE("a ruleset asks a kernel only for what it knows") {
  const auto first = landlock::rights_of(1);
  CHECK(first.folder == 0x1FF7);  // all of the first version but listing folders
  CHECK(first.file == 0x7);
  CHECK(first.scopes == 0);
  CHECK(landlock::rights_of(2).folder == 0x3FF7);
  CHECK(landlock::rights_of(3).folder == 0x7FF7);
  CHECK(landlock::rights_of(3).file == 0x4007);
  CHECK(landlock::rights_of(5).folder == 0x7FF7);  // those about devices are not asked for
  CHECK(landlock::rights_of(5).scopes == 0);
  CHECK(landlock::rights_of(6).scopes == 2);
  CHECK(landlock::rights_of(99).folder == 0x7FF7);
}

TEST_CASE("a sandboxed child can use everything but what is hidden") {
  if (no_landlock()) return;
  const House house;
  const Spawner spawner(std::nullopt, std::make_shared<Sandbox>(house.hidden()));
  const std::vector<std::string> refused{
      "cat " + house.key,
      "cat " + house.settings,
      "cat " + house.other + "/f",
      "sh -c 'echo > " + house.key + "'",
      "sh -c 'echo > " + house.settings + "'",
      "touch " + house.other + "/new",
      "rm " + house.other + "/f",
      "mkdir " + house.dir / "way/work/new",
      "mv " + house.key + " " + house.beside + "/key",
      "mv " + (house.dir / "way/work") + " " + house.beside + "/work",
      "ln " + house.key + " " + house.beside + "/key",
      "ln " + house.key + " " + house.own + "/key",
      "cat /proc/self/root" + house.key,
      "rm " + house.settings,
      "mv " + house.settings + " " + house.beside + "/settings",
  };
  CHECK(tried(spawner, refused, house.own) == no(refused.size()));
  CHECK(read_file(house.key) == "text");
  const std::vector<std::string> allowed{
      "cat " + house.beside + "/f",
      "cat " + house.file_beside,
      "sh -c 'echo > " + house.file_beside + "'",
      "touch " + house.beside + "/new",
      "mv " + house.beside + "/new " + house.own + "/new",
      "mkdir " + house.own + "/folder",
      "rm " + house.own + "/f",
      "ls " + (house.dir / "way"),
      "ls /",
      "cat /proc/self/status",
      "cat /dev/stdin",
      "sh -c 'echo > /dev/null'",
      "sh -c 'echo > /dev/stdout'",
  };
  CHECK(tried(spawner, allowed, house.own) == yes(allowed.size()));
}

TEST_CASE("a link to what is hidden does not help, and a hidden link hides what it leads to") {
  if (no_landlock()) return;
  const House house;
  fs::create_symlink(house.key, house.beside + "/link");
  write_file(house.beside + "/secret", "text");
  fs::create_symlink(house.beside + "/secret", house.dir / "way/secret");
  auto hidden = house.hidden();
  hidden.push_back(house.dir / "way/secret");
  const Spawner spawner(std::nullopt, std::make_shared<Sandbox>(hidden));
  CHECK(tried(spawner, {"cat " + house.beside + "/link", "cat " + house.beside + "/secret",
                        "cat " + (house.dir / "way/secret"), "cat " + house.beside + "/f"}) == "no no no yes ");
}

TEST_CASE("nothing new is made in the folders on the way to what is hidden") {
  if (no_landlock()) return;
  const House house;
  const Spawner spawner(std::nullopt, std::make_shared<Sandbox>(house.hidden()));
  const std::vector<std::string> refused{"touch " + (house.dir / "way/new"), "mkdir " + (house.dir / "new"),
                                         "rm " + house.file_beside};
  CHECK(tried(spawner, refused) == no(refused.size()));
}

TEST_CASE("what was made on the way since the last child is there for the next one") {
  if (no_landlock()) return;
  const House house;
  const Spawner spawner(std::nullopt, std::make_shared<Sandbox>(house.hidden()));
  for (int i = 0; i < 20; ++i) {
    const std::string folder = house.dir / ("way/new-" + std::to_string(i));
    fs::create_directory(folder);
    if (i % 3 == 0) std::this_thread::sleep_for(25ms);  // so that a prepared ruleset is kept
    INFO(i);
    CHECK(tried(spawner, {"touch " + folder + "/f"}) == "yes ");
  }
  fs::remove_all(house.beside);  // another folder of the same name
  fs::create_directory(house.beside);
  CHECK(tried(spawner, {"touch " + house.beside + "/f"}) == "yes ");
}

TEST_CASE("other files can be hidden from the children that follow") {
  if (no_landlock()) return;
  const House house;
  const auto sandbox = std::make_shared<Sandbox>(house.hidden());
  const Spawner spawner(std::nullopt, sandbox);
  const std::vector<std::string> commands{"cat " + house.file_beside, "cat " + house.key};
  CHECK(tried(spawner, commands) == "yes no ");
  sandbox->prepare();
  sandbox->hide({house.dir / "way/work", house.file_beside, house.dir / "not/there/yet"});
  CHECK(tried(spawner, commands) == "no no ");
}

TEST_CASE("a sandboxed child gains no rights by setuid programs, and one without a sandbox can") {
  if (no_landlock()) return;
  const House house;
  const Spawner spawner(std::nullopt, std::make_shared<Sandbox>(house.hidden()));
  const std::string look = "grep NoNewPrivs /proc/self/status | cut -f2; cat " + house.key;
  CHECK(said_by(spawner, look) == "1\n");
  CHECK(said_by(spawner, look, "", false) == "0\ntext");
}

TEST_CASE("a sandboxed child cannot signal, trace or look into this process") {
  if (no_landlock()) return;
  const House house;
  const Spawner spawner(std::nullopt, std::make_shared<Sandbox>(house.hidden()));
  const std::string me = std::to_string(::getpid());
  CHECK(tried(spawner, {"head -c 0 /proc/" + me + "/mem", "readlink /proc/" + me + "/cwd",
                        "ls /proc/" + me + "/root/"}) == no(3));
  if (*landlock::version() < 6) return;
  CHECK(tried(spawner, {"kill -0 " + me, "kill -CONT $PPID", "kill -0 $$"}) == "no no yes ");
}

TEST_CASE("a spawner without a sandbox restricts nothing") {
  const House house;
  CHECK(tried(Spawner(), {"cat " + house.key}) == "yes ");
}

}  // namespace
}  // namespace edgefleet::agent::test
