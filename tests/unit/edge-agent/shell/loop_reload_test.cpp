// A configuration that is read while the loop runs: executors that run tasks are replaced and removed.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "tests/support/agent_loop.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;
using test::eventually;

namespace {

TaskId id(std::uint64_t n) { return TaskId{Ulid{1, n}}; }
const ExecutorName worker_name = *ExecutorName::parse("worker");

// What all versions of an executor have in common.
struct Scene {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;               // runs may end
  bool immortal = false;           // executors may not
  std::atomic<int> alive{0};
  std::atomic<int> running{0};
  std::atomic<int> reloads{0};
  std::map<std::string, Executor::OnOffer> offers;  // by version

  void open_gate() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  void let_end(bool may) {
    const std::lock_guard lock(mutex);
    immortal = !may;
    changed.notify_all();
  }
};
using ScenePtr = std::shared_ptr<Scene>;

// Its output is its version. It ends when the gate is open.
class Worker final : public Executor {
 public:
  Worker(ScenePtr scene, std::string version, std::string capability)
      : scene_(std::move(scene)), version_(std::move(version)), capability_(std::move(capability)) {
    ++scene_->alive;
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  Worker(Worker&&) = delete;
  Worker& operator=(Worker&&) = delete;
  ~Worker() override {
    std::unique_lock lock(scene_->mutex);
    scene_->changed.wait(lock, [&] { return !scene_->immortal; });
    --scene_->alive;
  }

  [[nodiscard]] const ExecutorName& name() const override { return worker_name; }
  void start(OnOffer on_offer) override {
    on_offer(version_ == "silent" ? starting() : info());
    const std::lock_guard lock(scene_->mutex);
    scene_->offers[version_] = std::move(on_offer);
  }
  void reload() override { ++scene_->reloads; }
  RunOutcome run(const Job& /*job*/, std::stop_token stop, const OnProgress& on_progress) override {
    ++scene_->running;
    on_progress({1, "begun", Channel::note, 0, 0, 0});
    std::unique_lock lock(scene_->mutex);
    while (!scene_->open && !stop.stop_requested()) scene_->changed.wait_for(lock, 5ms);
    on_progress({99, "ends", Channel::note, 0, 0, 0});
    return {'"' + version_ + '"', std::nullopt, {}};
  }
  [[nodiscard]] std::map<Capability, JsonText> parameters() const override {
    if (version_ == "silent") return {};
    return {{*Capability::parse(capability_), R"({"type":"object"})"}};
  }
  static ExecutorInfo starting() {
    ExecutorInfo info;
    info.name = worker_name;
    info.problem = "is starting";
    info.rests = true;
    return info;
  }
  [[nodiscard]] ExecutorInfo info() const {
    ExecutorInfo info;
    info.name = worker_name;
    info.capabilities = {*Capability::parse(capability_)};
    return info;
  }

 private:
  const ScenePtr scene_;
  const std::string version_;
  const std::string capability_;
};

std::vector<std::unique_ptr<Executor>> one_worker(const ScenePtr& scene, const std::string& version,
                                                  const std::string& capability = "work") {
  std::vector<std::unique_ptr<Executor>> all;
  all.push_back(std::make_unique<Worker>(scene, version, capability));
  return all;
}

NewConfiguration unchanged() {
  NewConfiguration fresh;
  fresh.max_tasks = 7;
  fresh.stop_grace = 20s;
  fresh.labels = {{"room", "attic"}};
  return fresh;
}

// The next configuration of a test; each is read once.
struct Next {
  std::mutex mutex;
  std::deque<Result<NewConfiguration>> waiting;

  void push(Result<NewConfiguration> next) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(next));
  }
  bool none() {
    const std::lock_guard lock(mutex);
    return waiting.empty();
  }
  Result<NewConfiguration> take() {
    const std::lock_guard lock(mutex);
    if (waiting.empty()) return Error{"it was read too often"};
    auto first = std::move(waiting.front());
    waiting.pop_front();
    return first;
  }
};

struct Agent {
  ScenePtr scene = std::make_shared<Scene>();
  std::shared_ptr<Next> next = std::make_shared<Next>();
  test::AgentLoop at{one_worker(scene, "v1"), [next = next] { return next->take(); }};

  Agent() {
    (void)eventually([&] { return !at.info().executors.empty(); });
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  Agent(Agent&&) = delete;
  Agent& operator=(Agent&&) = delete;
  ~Agent() { scene->let_end(true); }
  // The report of the agent.
  ConfigReport reload(Result<NewConfiguration> fresh) {
    const auto before = at.info().config->reloads;
    next->push(std::move(fresh));
    at.control(protocol::ControlType::reload);
    REQUIRE(eventually([&] { return at.info().config->reloads > before; }));
    return *at.info().config;
  }
  // Does not wait for the report: the agent sends few of them at once.
  void reload_in_silence(Result<NewConfiguration> fresh) {
    next->push(std::move(fresh));
    at.loop.reload();
    REQUIRE(eventually([&] { return next->none(); }));
  }
  void run(std::uint64_t n) {
    const int before = scene->running;
    at.assign(id(n), "work", "1", n);
    REQUIRE(eventually([&] { return scene->running > before; }));
  }
};

NewConfiguration with_changed(const ScenePtr& scene, const std::string& version,
                              const std::string& capability = "work") {
  auto fresh = unchanged();
  fresh.executors = one_worker(scene, version, capability);
  fresh.changed = {worker_name};
  fresh.changes = "changed worker";
  return fresh;
}

}  // namespace

TEST_CASE("a run ends in the executor where it began, and what waited runs in its successor") {
  Agent agent;
  agent.run(1);
  agent.at.assign(id(2), "work", "1", 2);
  CHECK(agent.reload(with_changed(agent.scene, "v2")).changes == "changed worker");
  CHECK(agent.scene->alive == 2);
  agent.scene->open_gate();
  CHECK(agent.at.result_of(id(1)).output == "\"v1\"");
  CHECK(agent.at.result_of(id(2)).output == "\"v2\"");
  CHECK(eventually([&] { return agent.scene->alive == 1; }));
}

TEST_CASE("a replaced executor without runs is destroyed at once, and what it offers later counts for nothing") {
  Agent agent;
  agent.at.follow();
  agent.reload(with_changed(agent.scene, "v2", "other"));
  CHECK(eventually([&] { return agent.scene->alive == 1; }));
  const auto offers = [&] { return agent.at.info().executors.at(0).capabilities.at(0).str(); };
  CHECK(eventually([&] { return offers() == "other"; }));
  ExecutorInfo late;
  late.name = worker_name;
  late.capabilities = {*Capability::parse("late")};
  agent.scene->offers.at("v1")(late);
  agent.reload(unchanged());  // its info follows what was offered before
  CHECK(offers() == "other");
}

TEST_CASE("until a successor has said what it offers, what its predecessor offered can be looked up") {
  Agent agent;
  agent.at.follow();
  const auto before = agent.at.info().executors.at(0);
  REQUIRE(before.parameters.size() == 1);
  agent.reload(with_changed(agent.scene, "silent"));
  agent.reload(unchanged());  // its info follows what was offered before
  const auto meanwhile = agent.at.info().executors.at(0);
  CHECK(meanwhile.capabilities == before.capabilities);
  CHECK(meanwhile.parameters == before.parameters);
  CHECK_FALSE(meanwhile.problem.empty());
  const std::string digest = before.parameters.begin()->second;
  agent.at.say("control/pi", protocol::encode_describe(test::loop_reign, {digest}));
  CHECK(eventually([&] { return agent.at.count("agents/pi/parameters") > 0; }));
}

TEST_CASE("a removed executor ends its run, its waiting task is returned, and then nothing is left of it") {
  Agent agent;
  agent.run(1);
  agent.at.assign(id(2), "work", "1", 2);
  auto fresh = unchanged();
  fresh.removed = {worker_name};
  agent.reload(std::move(fresh));
  CHECK(agent.at.result_of(id(2)).status == ResultStatus::returned);
  CHECK(agent.at.info().executors.empty());
  CHECK(agent.scene->alive == 1);
  agent.scene->open_gate();
  CHECK(agent.at.result_of(id(1)).status == ResultStatus::succeeded);
  CHECK(eventually([&] { return agent.scene->alive == 0; }));
}

TEST_CASE("a bad configuration changes nothing, and its problem is reported until a good one") {
  Agent agent;
  agent.at.follow();
  const auto bad = agent.reload(Error{"agent.toml, line 3: unknown key `x`"});
  CHECK(bad.problem == "agent.toml, line 3: unknown key `x`");
  CHECK(bad.changes.empty());
  CHECK(agent.scene->alive == 1);
  CHECK(agent.scene->reloads == 0);
  CHECK(agent.at.info().labels.count("room") == 0);
  auto fresh = unchanged();
  fresh.restart = "broker";
  const auto good = agent.reload(std::move(fresh));
  CHECK(good == ConfigReport{2, "", "broker", ""});
  CHECK(agent.at.info().labels.at("room") == "attic");
  CHECK(agent.at.info().max_tasks == 7);
  CHECK(agent.scene->reloads == 1);  // keys and models are looked up again
}

TEST_CASE("while many old versions still end, the next configuration waits for them") {
  Agent agent;
  agent.at.follow();
  agent.scene->let_end(false);
  constexpr int most = static_cast<int>(ExecutorSet::most_ending);
  for (int n = 1; n <= most; ++n) agent.reload_in_silence(with_changed(agent.scene, "x" + std::to_string(n)));
  agent.next->push(with_changed(agent.scene, "newest"));
  agent.at.loop.reload();
  agent.at.loop.reload();
  agent.run(1);  // the loop goes on
  CHECK_FALSE(agent.next->none());
  CHECK(agent.scene->alive == most + 2);  // the newest is not yet taken from the test
  agent.scene->open_gate();
  CHECK(agent.at.result_of(id(1)).output == "\"x" + std::to_string(most) + '"');
  agent.scene->let_end(true);
  CHECK(eventually([&] { return agent.at.info().config->reloads == most + 1; }));
  CHECK(eventually([&] { return agent.scene->alive == 1; }));
  agent.at.assign(id(2), "work", "1", 2);
  CHECK(agent.at.result_of(id(2)).output == "\"newest\"");
}

TEST_CASE("an agent that is stopped while a configuration waits does not read it") {
  Agent agent;
  agent.at.follow();
  agent.scene->let_end(false);
  constexpr int most = static_cast<int>(ExecutorSet::most_ending);
  for (int n = 1; n <= most; ++n) agent.reload_in_silence(with_changed(agent.scene, "x" + std::to_string(n)));
  agent.at.loop.reload();
  agent.at.loop.request_stop();
  agent.scene->let_end(true);
  REQUIRE(agent.at.ended.wait_for(10s) == std::future_status::ready);
  CHECK(agent.at.info().config->reloads <= most);
}

TEST_CASE("a second request to stop asks for the end of all executors at once, also when the loop has ended") {
  Agent agent;
  agent.scene->let_end(false);  // so the end of the agent takes long
  agent.at.loop.request_stop();
  const std::string offline = protocol::encode(AgentStatus{AgentState::offline, agent.at.info().session});
  CHECK(eventually([&] { return agent.at.broker.published().back().payload == offline; }));
  CHECK_FALSE(agent.at.at_once);
  agent.at.loop.request_stop();
  CHECK(agent.at.at_once);
  agent.scene->let_end(true);
  CHECK(agent.at.ended.wait_for(10s) == std::future_status::ready);
}

TEST_CASE("the configuration is read again on a request of the process too, and an agent that is stopped reads none") {
  Agent agent;
  agent.next->push(unchanged());
  agent.at.loop.reload();
  CHECK(eventually([&] { return agent.at.info().config->reloads == 1; }));
  agent.run(1);
  agent.at.loop.request_stop();
  agent.at.loop.reload();
  agent.scene->open_gate();
  agent.at.result_of(id(1));
  agent.at.acknowledge(id(1));
  REQUIRE(agent.at.ended.wait_for(10s) == std::future_status::ready);
  CHECK(agent.at.info().config->reloads == 1);
  CHECK(agent.scene->alive == 0);
}

TEST_CASE("executors are replaced again and again while tasks run, and every task gets its result") {
  Agent agent;
  agent.scene->open_gate();
  constexpr std::uint64_t tasks = 60;
  for (std::uint64_t n = 1; n <= tasks; ++n) {
    agent.at.assign(id(n), "work", "1", n);
    agent.next->push(with_changed(agent.scene, "v" + std::to_string(n + 1)));
    agent.at.loop.reload();
  }
  for (std::uint64_t n = 1; n <= tasks; ++n) CHECK(agent.at.result_of(id(n)).status != ResultStatus::failed);
  {
    const std::lock_guard lock(agent.next->mutex);
    agent.next->waiting.clear();  // several orders of one turn are one
  }
  CHECK(eventually([&] { return agent.scene->alive == 1; }));
}
