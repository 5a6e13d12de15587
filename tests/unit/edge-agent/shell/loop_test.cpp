#include "edge-agent/shell/loop.hpp"

#include <future>
#include <thread>

#include "common/files/text_digest.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/echo.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

const std::string root = "edgefleet/v1/home/";
const Reign reign{7, *SessionId::parse("coordinator")};
const TaskId task{Ulid{1, 1}};

template <typename Condition>
bool eventually(Condition condition) {
  const Time until = monotonic_now() + 10s;
  while (!condition() && monotonic_now() < until) std::this_thread::yield();
  return condition();
}

// Offers `wait`: a task that runs until it is stopped.
class Waiting final : public Executor {
 public:
  explicit Waiting(std::promise<void>& running) : running_(running) {}
  [[nodiscard]] const ExecutorName& name() const override { return name_; }
  void start(OnOffer on_offer) override {
    ExecutorInfo info;
    info.name = name_;
    info.capabilities = {*Capability::parse("wait")};
    on_offer(std::move(info));
  }
  RunOutcome run(const Job& /*job*/, std::stop_token stop, const OnProgress& /*on_progress*/) override {
    running_.set_value();
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    return {"null", TaskError{"cancelled", "stopped", false, {}}, {}};
  }

 private:
  const ExecutorName name_ = *ExecutorName::parse("waiting");
  std::promise<void>& running_;
};

// A loop that runs in a thread of its own, without a broker.
struct Running {
  test::TemporaryFolder folder;
  test::Broker broker;
  std::promise<void> waiting;  // set when a task `wait` runs
  Loop loop{options(), executors()};
  std::future<Status> ended = std::async(std::launch::async, [this] { return loop.run(); });

  // Does not throw: nothing would stop the loop. A test without a connected loop fails by itself.
  Running() {
    (void)eventually([&] { return count("agents/pi/status") > 0; });
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Running(Running&&) = delete;
  Running& operator=(Running&&) = delete;
  ~Running() {
    if (!ended.valid()) return;
    loop.request_stop();
    loop.request_stop();
    ended.wait();
  }

  Loop::Options options() {
    Loop::Options made;
    made.fleet = *FleetName::parse("home");
    made.name = *AgentName::parse("pi");
    made.sys = made.unknown_results = made.spool = folder.path();
    made.make_client = broker.maker();
    return made;
  }
  std::vector<std::unique_ptr<Executor>> executors() {
    std::vector<std::unique_ptr<Executor>> all;
    all.push_back(std::make_unique<EchoExecutor>(1));
    all.push_back(std::make_unique<Waiting>(waiting));
    return all;
  }

  std::size_t count(const std::string& topic) const { return broker.on(root + topic); }
  void say(const std::string& topic, std::string payload) {
    broker.say(mqtt::Received{{root + topic, std::move(payload)}});
  }
  void assign(const std::string& capability, const std::string& input) {
    using namespace protocol;
    say("coordinator/status", encode(CoordinatorStatus{CoordinatorState::online, reign}));
    std::size_t first = 0;
    say("tasks/" + capability + "/pi",
        encode_tasks(reign, 1, limits::usual_task_bytes, {{task, 1, input, 60s}}, first));
  }
  void acknowledge() {
    std::size_t first = 0;
    say("control/pi", encode_control(reign, protocol::ControlType::acknowledge, {{task, 1}}, first));
  }
  TaskResult result_on(const std::string& topic) {
    REQUIRE(eventually([&] { return count(topic) > 0; }));
    for (const auto& message : broker.published()) {
      if (message.topic != root + topic) continue;
      const auto decoded = protocol::decode_results(message.payload);
      REQUIRE(decoded);
      REQUIRE(decoded->results.good.size() == 1);
      return decoded->results.good.front();
    }
    return {};
  }
  AgentState last_state() const {
    const auto last = broker.published().back();
    REQUIRE(last.topic == root + "agents/pi/status");
    return protocol::decode_agent_status(last.payload)->state;
  }
};

}  // namespace

TEST_CASE("an agent connects with a will and announces what it offers before it is online") {
  Running running;
  CHECK(running.broker.options().client_id == "edgefleet-home-agent-pi");
  CHECK(running.broker.options().will->topic == root + "agents/pi/status");
  CHECK(running.broker.options().will->retained);
  const auto published = running.broker.published();
  const auto first_on = [&](const std::string& topic) {
    return std::find_if(published.begin(), published.end(), [&](const auto& m) { return m.topic == root + topic; });
  };
  REQUIRE(first_on("agents/pi/status") != published.end());
  CHECK(first_on("agents/pi/info") < first_on("agents/pi/status"));
  CHECK(protocol::decode_agent_status(first_on("agents/pi/status")->payload)->state == AgentState::online);
}

TEST_CASE("an agent runs a task that it receives and publishes the result") {
  Running running;
  running.assign("echo", R"({"a":1})");
  const TaskResult result = running.result_on("results/pi");
  CHECK(result.id == task);
  CHECK(result.output == R"({"a":1})");
  CHECK_FALSE(result.error);
  running.acknowledge();
}

TEST_CASE("an agent names the descriptions of its inputs, and publishes those that its coordinator asks for") {
  Running running;
  const auto info = [&]() -> std::optional<AgentInfo> {
    for (const auto& message : running.broker.published()) {
      if (message.topic != root + "agents/pi/info") continue;
      auto decoded = protocol::decode_agent_info(message.payload);
      for (const auto& executor : decoded->info.executors) {
        if (!executor.parameters.empty()) return decoded->info;
      }
    }
    return std::nullopt;
  };
  REQUIRE(eventually([&] { return info().has_value(); }));
  const std::string digest = info()->executors.front().parameters.begin()->second;
  running.say("control/pi", protocol::encode_describe({9, reign.session}, {digest}));  // it obeys nobody yet
  running.assign("echo", "1");
  running.result_on("results/pi");
  CHECK(running.count("agents/pi/parameters") == 0);
  running.say("control/pi", protocol::encode_describe(reign, {digest, std::string(32, '0'), "rubbish"}));
  REQUIRE(eventually([&] { return running.count("agents/pi/parameters") > 0; }));
  const auto sent = protocol::decode_parameters(running.broker.published().back().payload);
  REQUIRE(sent);
  REQUIRE(sent->parameters.good.size() == 1);
  CHECK(sent->parameters.good.front().digest == digest);
  CHECK(text_digest(sent->parameters.good.front().schema) == digest);
  running.acknowledge();
}

TEST_CASE("a message that cannot be read is dropped, and the next one is handled") {
  Running running;
  running.say("tasks/echo/pi", "not JSON");
  running.say("tasks/echo/other", "{}");
  running.say("unknown", "{}");
  running.assign("echo", "1");
  CHECK(running.result_on("results/pi").output == "1");
  running.acknowledge();
}

TEST_CASE("an agent without tasks stops at the first request, and its last message is offline") {
  Running running;
  running.assign("echo", "1");
  running.result_on("results/pi");
  running.acknowledge();
  running.loop.request_stop();
  REQUIRE(running.ended.wait_for(10s) == std::future_status::ready);
  CHECK(running.ended.get());
  CHECK(running.last_state() == AgentState::offline);
}

TEST_CASE("a second request stops a task that still runs, and its result is published before offline") {
  Running running;
  running.assign("wait", "1");
  REQUIRE(running.waiting.get_future().wait_for(10s) == std::future_status::ready);
  running.loop.request_stop();
  running.loop.request_stop();
  running.result_on("results/pi");
  running.acknowledge();
  REQUIRE(running.ended.wait_for(10s) == std::future_status::ready);
  CHECK(running.ended.get());
  CHECK(running.last_state() == AgentState::offline);
}

TEST_CASE("a loop without a client ends with the error") {
  const test::TemporaryFolder folder;
  Loop::Options options;
  options.fleet = *FleetName::parse("home");
  options.name = *AgentName::parse("pi");
  options.spool = folder.path();
  options.make_client = [](const mqtt::Options&, const mqtt::Client::OnEvent&) {
    return Result<std::unique_ptr<mqtt::Client>>(Error{"invalid address", ErrorKind::invalid});
  };
  Loop loop(std::move(options), {});
  CHECK(loop.run().error().message == "invalid address");
}
