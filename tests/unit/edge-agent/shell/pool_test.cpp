#include "edge-agent/shell/pool.hpp"

#include <condition_variable>
#include <set>

#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;

namespace {

// Runs until it is released or stopped, depending on its input; counts concurrent runs.
class Scripted final : public Executor {
 public:
  [[nodiscard]] const ExecutorName& name() const override { return name_; }
  void start(OnOffer /*on_offer*/) override {}
  RunOutcome run(const Job& job, std::stop_token stop, const OnProgress& on_progress) override {
    {
      const std::lock_guard lock(mutex_);
      threads_.insert(std::this_thread::get_id());
      ++running_;
      most_ = std::max(most_, running_);
    }
    changed_.notify_all();
    on_progress({50, "half", Channel::note, 0, 0, 0});
    if (job.input == "\"wait\"") wait(stop);
    {
      const std::lock_guard lock(mutex_);
      --running_;
    }
    RunOutcome outcome;
    outcome.output = output.empty() ? job.input : output;
    outcome.usage = usage;
    if (stop.stop_requested()) outcome.error = TaskError{"cancelled", "stopped", false, {}};
    return outcome;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }
  bool await_running(int number) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return running_ >= number; });
  }
  [[nodiscard]] int most() const { return most_; }
  [[nodiscard]] std::size_t threads() const { return threads_.size(); }

  JsonText output;  // empty: the input
  JsonText usage;

 private:
  void wait(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, 10s, [&] { return released_; });
  }
  ExecutorName name_ = *ExecutorName::parse("scripted");
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<std::thread::id> threads_;
  int running_ = 0;
  int most_ = 0;
  bool released_ = false;
};

Job job(std::uint64_t number, const std::string& input) { return {id(number), 1, work, input, 1min}; }

struct Bench {
  std::shared_ptr<Scripted> executor = std::make_shared<Scripted>();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Finished> finished;
  std::vector<AttemptKey> progressed;
  Pool pool{[this](Finished one) {
              const std::lock_guard lock(mutex);
              finished.push_back(std::move(one));
              changed.notify_all();
            },
            [this](const AttemptKey& key, const Progress&) {
              const std::lock_guard lock(mutex);
              progressed.push_back(key);
            }};

  bool await_finished(std::size_t number) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 10s, [&] { return finished.size() >= number; });
  }
};

}  // namespace

TEST_CASE("a task runs on a thread of the pool, and its progress and end are reported with its attempt") {
  Bench bench;
  bench.pool.start(bench.executor, job(1, "42"));
  REQUIRE(bench.await_finished(1));
  CHECK(bench.finished[0].key == AttemptKey{id(1), 1});
  CHECK(bench.finished[0].output == "42");
  CHECK_FALSE(bench.finished[0].error);
  CHECK(bench.progressed == std::vector<AttemptKey>{{id(1), 1}});
}

TEST_CASE("all started tasks run at the same time, and threads are reused") {
  Bench bench;
  for (std::uint64_t n = 1; n <= 4; ++n) bench.pool.start(bench.executor, job(n, "\"wait\""));
  REQUIRE(bench.executor->await_running(4));
  bench.executor->release();
  REQUIRE(bench.await_finished(4));
  CHECK(bench.executor->most() == 4);
  for (std::uint64_t n = 5; n <= 40; ++n) {
    bench.pool.start(bench.executor, job(n, "1"));
    REQUIRE(bench.await_finished(n));
  }
  // A thread reports the end before it is idle, so each time one more thread than concurrent runs may be needed.
  CHECK(bench.executor->threads() <= 5);
}

TEST_CASE("a stop affects only the attempt that it names") {
  Bench bench;
  bench.pool.start(bench.executor, job(1, "\"wait\""));
  bench.pool.start(bench.executor, job(2, "\"wait\""));
  REQUIRE(bench.executor->await_running(2));
  bench.pool.stop({id(3), 1});  // no such attempt
  bench.pool.stop({id(1), 2});
  bench.pool.stop({id(2), 1});
  REQUIRE(bench.await_finished(1));
  CHECK(bench.finished[0].key == AttemptKey{id(2), 1});
  REQUIRE(bench.finished[0].error);
  CHECK(bench.finished[0].error->code == "cancelled");
  bench.executor->release();
  REQUIRE(bench.await_finished(2));
  CHECK_FALSE(bench.finished[1].error);
}

TEST_CASE("a pool that is destroyed stops running tasks and waits for them") {
  const auto executor = std::make_shared<Scripted>();
  std::atomic<int> finished{0};
  {
    Pool pool([&](const Finished& one) { finished += one.error ? 1 : 0; }, [](const AttemptKey&, const Progress&) {});
    pool.start(executor, job(1, "\"wait\""));
    REQUIRE(executor->await_running(1));
  }
  CHECK(finished == 1);
}

TEST_CASE("a run keeps its executor until it has ended, and no longer") {
  Bench bench;
  const std::weak_ptr<Scripted> watched = bench.executor;
  Scripted& executor = *bench.executor;
  bench.pool.start(bench.executor, job(1, "\"wait\""));
  REQUIRE(executor.await_running(1));
  bench.executor.reset();
  CHECK_FALSE(watched.expired());
  executor.release();
  REQUIRE(bench.await_finished(1));
  CHECK(watched.expired());
}

TEST_CASE("an output that does not fit into a message fails its task") {
  Bench bench;
  bench.executor->output = '"' + std::string(limits::input_bytes, 'x') + '"';
  const auto large = bench.pool.run_here(*bench.executor, job(1, "1"));
  REQUIRE(large.error);
  CHECK(large.error->code == "output_too_large");
  CHECK(large.output == "null");
  bench.executor->output = std::string(100, '[') + std::string(100, ']');
  const auto deep = bench.pool.run_here(*bench.executor, job(1, "1"));
  REQUIRE(deep.error);
  CHECK(deep.error->code == "output_too_deep");
  CHECK(deep.output == "null");
}

TEST_CASE("usage that is nested too deeply is omitted, and the output is kept") {
  Bench bench;
  bench.executor->usage = std::string(100, '[') + std::string(100, ']');
  const auto finished = bench.pool.run_here(*bench.executor, job(1, "42"));
  CHECK_FALSE(finished.error);
  CHECK(finished.output == "42");
  CHECK(finished.usage.empty());
}
