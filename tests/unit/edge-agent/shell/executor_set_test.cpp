#include "edge-agent/shell/executor_set.hpp"

#include <future>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

struct Ends {
  std::promise<std::thread::id> on;  // the thread that destroyed it
  std::promise<void> asked;
  std::shared_future<void> after;  // its end takes until then
};

class Mortal final : public Executor {
 public:
  Mortal(const char* name, std::shared_ptr<Ends> ends) : name_(*ExecutorName::parse(name)), ends_(std::move(ends)) {}
  Mortal(const Mortal&) = delete;
  Mortal& operator=(const Mortal&) = delete;
  Mortal(Mortal&&) = delete;
  Mortal& operator=(Mortal&&) = delete;
  ~Mortal() override {
    if (ends_->after.valid()) ends_->after.wait();
    ends_->on.set_value(std::this_thread::get_id());
  }
  [[nodiscard]] const ExecutorName& name() const override { return name_; }
  void start(OnOffer /*on_offer*/) override {}
  void ask_to_end() override { ends_->asked.set_value(); }
  RunOutcome run(const Job& /*job*/, std::stop_token /*stop*/, const OnProgress& /*on_progress*/) override {
    return {};
  }

 private:
  ExecutorName name_;
  std::shared_ptr<Ends> ends_;
};

struct Watched {
  std::shared_ptr<Ends> ends = std::make_shared<Ends>();
  std::future<std::thread::id> ended = ends->on.get_future();

  std::unique_ptr<Executor> make(const char* name) { return std::make_unique<Mortal>(name, ends); }
  [[nodiscard]] bool alive() const { return ended.wait_for(0s) != std::future_status::ready; }
};

const ExecutorName a = *ExecutorName::parse("a");

}  // namespace

TEST_CASE("a replaced executor is destroyed on another thread, after the last run that owns it") {
  Watched old, fresh;
  ExecutorSet set;
  const auto before = set.put(old.make("a")).version;
  auto run = set.at(a);
  const auto now = set.put(fresh.make("a")).version;
  CHECK(set.find(a, before) == nullptr);
  CHECK(set.find(a, now) == set.at(a).get());
  CHECK(set.at(a) != run);
  CHECK(old.alive());
  run.reset();
  REQUIRE(old.ended.wait_for(10s) == std::future_status::ready);
  CHECK(old.ended.get() != std::this_thread::get_id());
  CHECK(fresh.alive());
}

TEST_CASE("an executor that is removed and added again is another one") {
  Watched first, second;
  ExecutorSet set;
  const auto before = set.put(first.make("a")).version;
  set.remove(a);
  CHECK(set.find(a, before) == nullptr);
  REQUIRE(first.ended.wait_for(10s) == std::future_status::ready);
  CHECK(set.put(second.make("a")).version != before);
  set.remove(*ExecutorName::parse("b"));
  CHECK(second.alive());
}

TEST_CASE("when all are destroyed, none is left, replaced ones included") {
  Watched first, second, third;
  ExecutorSet set;
  set.put(first.make("a"));
  set.put(second.make("a"));
  set.put(third.make("b"));
  set.destroy_all();
  CHECK_FALSE(first.alive());
  CHECK_FALSE(second.alive());
  CHECK_FALSE(third.alive());
  CHECK(set.begin() == set.end());
}

TEST_CASE("a set that ends destroys its executors") {
  Watched one;
  {
    ExecutorSet().put(one.make("a"));
  }
  CHECK_FALSE(one.alive());
}

TEST_CASE("executors that are slow to end are all asked before the end of one is awaited, and counted until it") {
  Watched slow, other;
  std::promise<void> end;
  slow.ends->after = other.ends->after = end.get_future().share();
  ExecutorSet set;
  set.put(slow.make("a"));
  set.put(other.make("b"));
  CHECK(set.ending() == 0);
  set.remove(a);
  set.remove(*ExecutorName::parse("b"));
  for (const auto& one : {slow.ends, other.ends})
    CHECK(one->asked.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(set.ending() == 2);
  end.set_value();
  CHECK(slow.ended.wait_for(10s) == std::future_status::ready);
  CHECK(other.ended.wait_for(10s) == std::future_status::ready);
  set.destroy_all();
  CHECK(set.ending() == 0);
}
