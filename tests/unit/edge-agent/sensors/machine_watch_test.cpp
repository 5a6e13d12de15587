#include "edge-agent/sensors/machine_watch.hpp"

#include <sys/stat.h>

#include <fstream>
#include <future>

#include "edge-agent/sensors/address.hpp"
#include "edge-agent/sensors/bounded_command.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

std::string script(const test::TemporaryFolder& folder, const std::string& name, const std::string& text) {
  const std::string path = folder.path() + "/" + name;
  std::ofstream(path) << "#!/bin/sh\n" << text << '\n';
  chmod(path.c_str(), 0700);
  return path;
}

// The first reading for which `enough` holds.
template <typename Enough>
std::optional<MachineReading> await(MachineWatch::Options options, Enough enough) {
  std::promise<MachineReading> found;
  auto reading = found.get_future();
  bool done = false;
  const MachineWatch watch(std::move(options), [&](MachineReading one) {
    if (!done && enough(one)) {
      done = true;
      found.set_value(std::move(one));
    }
  });
  if (reading.wait_for(10s) != std::future_status::ready) return std::nullopt;
  return reading.get();
}

}  // namespace

TEST_CASE("a program's output is returned if it succeeds in time") {
  const test::TemporaryFolder folder;
  BoundedCommand command;
  CHECK(command.run({script(folder, "good", "echo $1 there"), "who is"}, 10s, {}) == "who is there\n");
  CHECK_FALSE(command.run({script(folder, "bad", "echo text; exit 3")}, 10s, {}));
  CHECK_FALSE(command.run({folder.path() + "/missing"}, 10s, {}));
  CHECK_FALSE(command.run({}, 10s, {}));
  CHECK(command.run({script(folder, "again", "echo fine")}, 10s, {}) == "fine\n");
}

TEST_CASE("a program that does not end is killed when its time is over") {
  const test::TemporaryFolder folder;
  BoundedCommand command;
  const auto begin = std::chrono::steady_clock::now();
  CHECK_FALSE(command.run({script(folder, "slow", "exec sleep 60")}, 100ms, {}));
  CHECK_FALSE(command.run({script(folder, "silent", "exec >/dev/null; exec sleep 60")}, 100ms, {}));
  CHECK_FALSE(command.run({script(folder, "flood", "exec yes")}, 100ms, {}));
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("a stop request ends a program at once") {
  const test::TemporaryFolder folder;
  std::stop_source stop;
  stop.request_stop();
  BoundedCommand command;
  const auto begin = std::chrono::steady_clock::now();
  CHECK_FALSE(command.run({script(folder, "slow", "exec sleep 60")}, 60s, stop.get_token()));
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("the free space and the GPUs are read at once, and again") {
  const test::TemporaryFolder folder;
  MachineWatch::Options options;
  options.sys = folder.path() + "/no-sys";
  options.work = folder.path();
  options.interval = 10ms;
  options.nvidia_interval = 10ms;
  options.nvidia_smi = {folder.path() + "/missing", script(folder, "smi", "echo \"RTX, 8192, 50\"")};
  const auto reading = await(options, [](const MachineReading& one) { return !one.gpus.empty(); });
  REQUIRE(reading);
  CHECK(reading->free_disk_bytes > 0);
  CHECK(reading->gpus == std::vector<GpuInfo>{{"RTX", 8192ULL * 1024 * 1024}});
  CHECK(reading->gpu_celsius == std::vector<std::optional<double>>{50.0});
}

TEST_CASE("a driver's program that hangs does not keep the rest from being read, nor the watch from ending") {
  const test::TemporaryFolder folder;
  MachineWatch::Options options;
  options.sys = folder.path() + "/no-sys";
  options.work = folder.path();
  options.nvidia_smi = {script(folder, "smi", "exec sleep 60")};
  options.nvidia_longest = 100ms;
  const auto begin = std::chrono::steady_clock::now();
  const auto reading = await(options, [](const MachineReading& one) { return one.free_disk_bytes > 0; });
  REQUIRE(reading);
  CHECK(reading->gpus.empty());
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("the own address is never one that only this machine can reach") {
  for (const char* broker : {"127.0.0.1", "localhost", "::1", "", "not a host"}) {
    const std::string address = own_address(broker);
    CAPTURE(broker, address);
    CHECK_FALSE(address.starts_with("127."));
    CHECK(address != "::1");
  }
}
