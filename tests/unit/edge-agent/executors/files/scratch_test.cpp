#include "edge-agent/executors/files/scratch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/executors/support.hpp"

namespace edgefleet::agent::test {
namespace {

const TaskId task = job("echo", "null").id;

TEST_CASE("a scratch folder with any content is removed at the end of its attempt") {
  Bench bench;
  std::string dir;
  {
    const auto scratch = bench.services.scratch->make(task, 1);
    REQUIRE(scratch.ok());
    dir = scratch->dir();
    CHECK(dir == bench.dir / "work" + '/' + task.str() + "-1");
    CHECK(fs::is_directory(dir + "/in"));
    fs::create_directories(dir + "/out/a/b");
    write_file(dir + "/out/a/b/file", "x");
    fs::create_symlink(bench.dir / "store", dir + "/link");
    fs::permissions(dir + "/out/a", fs::perms::none);
  }
  CHECK_FALSE(fs::exists(dir));
  CHECK(fs::exists(bench.dir / "store"));
}

TEST_CASE("a start removes the folders of earlier attempts and nothing else") {
  TempDir dir;
  fs::create_directories(dir / ("work/" + task.str() + "-12/out"));
  fs::create_directories(dir / "work/photos-1");
  write_file(dir / "work/mine.txt", "x");
  const auto root = ScratchRoot::open(dir / "work", {});
  REQUIRE(root.ok());
  CHECK_FALSE(fs::exists(dir / ("work/" + task.str() + "-12")));
  CHECK(fs::exists(dir / "work/photos-1"));
  CHECK(fs::exists(dir / "work/mine.txt"));
}

TEST_CASE("a plug-in has a folder of its own, which stays, and has the folders of its attempts") {
  const ExecutorName plugin = *ExecutorName::parse("plugin-image");
  Bench bench;
  const auto folder = bench.services.scratch->folder_of(plugin);
  REQUIRE(folder.ok());
  CHECK(*folder == bench.dir / "work/plugin-image");
  {
    const auto scratch = bench.services.scratch->make_in(plugin, task, 1);
    REQUIRE(scratch.ok());
    CHECK(scratch->dir() == *folder + '/' + task.str() + "-1");
    CHECK_FALSE(bench.services.scratch->make_in(plugin, task, 1).ok());  // it belongs to that run
  }
  CHECK(fs::is_empty(*folder));
  write_file(*folder + "/kept", "x");
  fs::create_directories(*folder + '/' + task.str() + "-2/out");  // of an agent that was killed
  REQUIRE(ScratchRoot::open(bench.dir / "work", {}).ok());
  CHECK_FALSE(fs::exists(*folder + '/' + task.str() + "-2"));
  CHECK(fs::exists(*folder + "/kept"));
}

TEST_CASE("files left in out/ are stored, links and devices are not") {
  Bench bench;
  const auto scratch = bench.services.scratch->make(task, 1);
  REQUIRE(scratch.ok());
  const std::string out = scratch->dir() + "/out/";
  write_file(out + "b.txt", "bee");
  fs::create_directories(out + "sub");
  write_file(out + "sub/a.txt", "ay");
  write_file(bench.dir / "secret", "hush");
  fs::create_symlink(bench.dir / "secret", out + "link");
  fs::create_directory_symlink(bench.dir.path(), out + "dirlink");
  REQUIRE(::mkfifo((out + "fifo").c_str(), 0600) == 0);
  const auto files = scratch->collect(*bench.store, {}, {});
  REQUIRE(files.ok());
  REQUIRE(files->size() == 2);
  CHECK(files->at(0).name == "b.txt");
  CHECK(files->at(0).bytes == 3);
  CHECK(bench.store->get(files->at(0).artifact) == "bee");
  CHECK(files->at(1).name == "sub/a.txt");
}

TEST_CASE("an out/ that became a link is not followed") {
  Bench bench;
  const auto scratch = bench.services.scratch->make(task, 1);
  REQUIRE(scratch.ok());
  fs::create_directories(bench.dir / "private");
  write_file(bench.dir / "private/secret", "hush");
  fs::remove(scratch->dir() + "/out");
  fs::create_directory_symlink(bench.dir / "private", scratch->dir() + "/out");
  const auto files = scratch->collect(*bench.store, {}, {});
  REQUIRE(files.ok());
  CHECK(files->empty());
  CHECK_FALSE(open_beneath(scratch->dir(), "out/secret").ok());
}

TEST_CASE("out/ is bounded in files and bytes") {
  Bench bench;
  const auto scratch = bench.services.scratch->make(task, 1);
  REQUIRE(scratch.ok());
  write_file(scratch->dir() + "/out/a", "12345");
  write_file(scratch->dir() + "/out/b", "12345");
  CHECK(scratch->collect(*bench.store, {10, 2}, {}).ok());
  const auto bytes = scratch->collect(*bench.store, {9, 2}, {});
  REQUIRE_FALSE(bytes.ok());
  CHECK(bytes.error().kind == ErrorKind::too_large);
  CHECK_FALSE(scratch->collect(*bench.store, {10, 1}, {}).ok());
}

TEST_CASE("out/ is bounded in depth") {
  Bench bench;
  const auto scratch = bench.services.scratch->make(task, 1);
  REQUIRE(scratch.ok());
  std::string folder = scratch->dir() + "/out";
  for (int depth = 0; depth < 32; ++depth) fs::create_directories(folder += "/d");
  CHECK(scratch->collect(*bench.store, {}, {}).ok());
  fs::create_directories(folder += "/d/d");
  const auto deep = scratch->collect(*bench.store, {}, {});
  REQUIRE_FALSE(deep.ok());
  CHECK(deep.error().kind == ErrorKind::too_large);
}

namespace {

// Its command still writes: the file is emptied as soon as it is stored.
class Emptying final : public ArtifactStore {
 public:
  explicit Emptying(ArtifactStore& store) : store_(store) {}
  Status fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
               std::stop_token stop) override {
    return store_.fetch(artifact, to_path, most_bytes, std::move(stop));
  }
  Result<std::string> store(const std::string& path, std::stop_token stop) override {
    auto id = store_.store(path, std::move(stop));
    REQUIRE(::truncate(path.c_str(), 0) == 0);
    return id;
  }

 private:
  ArtifactStore& store_;
};

}  // namespace

TEST_CASE("a file that changes while it is stored is an error") {
  Bench bench;
  const auto scratch = bench.services.scratch->make(task, 1);
  REQUIRE(scratch.ok());
  write_file(scratch->dir() + "/out/a", "12345");
  Emptying emptying(*bench.store);
  const auto files = scratch->collect(emptying, {}, {});
  REQUIRE_FALSE(files.ok());
  CHECK(files.error().message.find("changed while it was stored") != std::string::npos);
}

TEST_CASE("only regular files beneath a folder are opened") {
  TempDir dir;
  write_file(dir / "secret", "hush");
  fs::create_directories(dir / "s/out/sub");
  write_file(dir / "s/out/sub/file", "x");
  CHECK(open_beneath(dir / "s", "out/sub/file").ok());
  for (const char* bad : {"out/../../secret", "../secret", "out/sub", "out/missing", "/etc/passwd", "",
                          "out//sub/file/", "./out/sub/file", "out/sub/.."}) {
    INFO(bad);
    CHECK_FALSE(open_beneath(dir / "s", bad).ok());
  }
}

}  // namespace
}  // namespace edgefleet::agent::test
