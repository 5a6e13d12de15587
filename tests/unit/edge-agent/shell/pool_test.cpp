#include "edge-agent/shell/pool.hpp"

#include <condition_variable>
#include <map>
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

Job job(std::uint64_t number, const std::string& input, std::size_t most = limits::input_bytes) {
  return {id(number), 1, work, input, 1min, most};
}

// Texts in memory; an id that is not there fails, or waits for the stop.
class Texts final : public TextStore {
 public:
  Result<std::string> fetch_text(const TextFile& file, std::stop_token stop) override {
    if (const auto text = texts.find(file.artifact); text != texts.end()) return text->second;
    if (failure) return *failure;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, 10s, [] { return false; });
    return Error{"the coordinator is away", ErrorKind::unavailable};
  }
  Result<std::string> store_text(const std::string& text, std::stop_token /*stop*/) override {
    if (failure) return *failure;
    texts[std::to_string(text.size())] = text;
    return std::to_string(text.size());
  }
  std::map<std::string, std::string> texts;
  std::optional<Error> failure;

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
};

struct Bench {
  std::shared_ptr<Scripted> executor = std::make_shared<Scripted>();
  std::shared_ptr<Texts> texts = std::make_shared<Texts>();
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
            },
            texts};

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

TEST_CASE("an input in a file is fetched before the run") {
  Bench bench;
  bench.texts->texts["sha256-1"] = R"({"large":true})";
  bench.pool.start(bench.executor, job(1, "null"), TextFile{"sha256-1", 14, {}});
  REQUIRE(bench.await_finished(1));
  CHECK_FALSE(bench.finished[0].error);
  CHECK(bench.finished[0].output == R"({"large":true})");
}

TEST_CASE("an input that cannot be fetched fails its attempt, and the task does not run") {
  Bench bench;
  const TextFile missing{"sha256-2", 14, {}};
  const auto outcome = [&](Job one) {
    const auto before = bench.finished.size();
    bench.pool.start(bench.executor, std::move(one), missing);
    REQUIRE(bench.await_finished(before + 1));
    REQUIRE(bench.finished.back().error);
    return *bench.finished.back().error;
  };
  bench.texts->failure = Error{"no such artifact", ErrorKind::not_found};
  CHECK(outcome(job(1, "null")).code == "artifact_missing");
  bench.texts->failure = Error{"it restarts", ErrorKind::unavailable};
  const auto away = outcome(job(2, "null"));
  CHECK(away.code == "unavailable");
  CHECK(away.retryable);
  bench.texts->failure.reset();
  Job brief = job(3, "null");
  brief.timeout = 50ms;
  const auto late = outcome(brief);
  CHECK(late.code == "timed_out");
  CHECK(late.message.find("fetching the input: the coordinator is away") != std::string::npos);
  bench.texts->texts["sha256-2"] = "{broken";
  CHECK(outcome(job(4, "null")).code == "bad_input");
  CHECK(bench.executor->threads() == 0);
}

TEST_CASE("a stop ends the fetching of an input") {
  Bench bench;
  bench.pool.start(bench.executor, job(1, "null"), TextFile{"sha256-3", 14, {}});
  bench.pool.stop({id(1), 1});
  REQUIRE(bench.await_finished(1));
  REQUIRE(bench.finished[0].error);
  CHECK(bench.finished[0].error->code == "cancelled");
}

TEST_CASE("an output that does not fit into a message becomes a file, with the artifacts that it names") {
  Bench bench;
  const std::string artifact = "sha256-" + std::string(64, 'a');
  const std::string fits = '"' + std::string(limits::input_bytes - 2, 'x') + '"';
  const std::string large = R"([{"artifact":")" + artifact + R"("},{"artifact":"no id"},)" + fits + "]";
  bench.executor->output = fits;
  CHECK(bench.pool.run_here(*bench.executor, job(1, "1", large.size())).output == fits);
  bench.executor->output = large;
  const auto finished = bench.pool.run_here(*bench.executor, job(1, "1", large.size()));
  CHECK_FALSE(finished.error);
  CHECK(finished.output == "null");
  CHECK(finished.output_at == TextFile{std::to_string(large.size()), large.size(), {artifact}});
  CHECK(bench.texts->texts.at(std::to_string(large.size())) == large);
}

TEST_CASE("an output over the bound of its task, or one that cannot be stored, fails its task") {
  Bench bench;
  bench.executor->output = '"' + std::string(limits::input_bytes, 'x') + '"';
  const auto large = bench.pool.run_here(*bench.executor, job(1, "1"));
  REQUIRE(large.error);
  CHECK(large.error->code == "output_too_large");
  CHECK(large.output == "null");
  CHECK_FALSE(large.output_at);
  bench.texts->failure = Error{"it is full", ErrorKind::full};
  const auto unstored = bench.pool.run_here(*bench.executor, job(1, "1", limits::usual_task_bytes));
  REQUIRE(unstored.error);
  CHECK(unstored.error->code == "no_space");
  CHECK_FALSE(unstored.output_at);
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
