#include "edge-agent/shell/loop.hpp"

#include "common/files/text_digest.hpp"
#include "edge-agent/executors/echo.hpp"
#include "tests/support/agent_loop.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;
using test::eventually;

namespace {

const std::string root = test::loop_root;
const Reign reign = test::loop_reign;
const TaskId task{Ulid{1, 1}};

using Promise = std::shared_ptr<std::promise<void>>;

// Offers `wait`: a task that runs until it is stopped.
class Waiting final : public Executor {
 public:
  explicit Waiting(Promise running) : running_(std::move(running)) {}
  [[nodiscard]] const ExecutorName& name() const override { return name_; }
  void start(OnOffer on_offer) override {
    ExecutorInfo info;
    info.name = name_;
    info.capabilities = {*Capability::parse("wait")};
    on_offer(std::move(info));
  }
  RunOutcome run(const Job& /*job*/, std::stop_token stop, const OnProgress& /*on_progress*/) override {
    running_->set_value();
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    return {"null", TaskError{"cancelled", "stopped", false, {}}, {}};
  }

 private:
  const ExecutorName name_ = *ExecutorName::parse("waiting");
  const Promise running_;
};

std::vector<std::unique_ptr<Executor>> echo_and_wait(const Promise& running) {
  std::vector<std::unique_ptr<Executor>> all;
  all.push_back(std::make_unique<EchoExecutor>(1));
  all.push_back(std::make_unique<Waiting>(running));
  return all;
}

struct Running : test::AgentLoop {
  Promise waiting;  // set when a task `wait` runs

  Running() : Running(std::make_shared<std::promise<void>>()) {}
  explicit Running(const Promise& promise) : AgentLoop(echo_and_wait(promise)), waiting(promise) {}
  void assign(const std::string& capability, const std::string& input) { AgentLoop::assign(task, capability, input); }
  void acknowledge() { AgentLoop::acknowledge(task); }
  TaskResult result() { return result_of(task); }
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
  const TaskResult result = running.result();
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
  running.result();
  CHECK(running.count("agents/pi/parameters") == 0);
  running.say("control/pi", protocol::encode_describe(reign, {digest, std::string(32, '0'), "rubbish"}));
  REQUIRE(eventually([&] { return running.count("agents/pi/parameters") > 0; }));
  const auto published = running.broker.published();
  const auto last = std::find_if(published.rbegin(), published.rend(),
                                 [](const auto& message) { return message.topic == root + "agents/pi/parameters"; });
  const auto sent = protocol::decode_parameters(last->payload);
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
  CHECK(running.result().output == "1");
  running.acknowledge();
}

TEST_CASE("an agent without tasks stops at the first request, and its last message is offline") {
  Running running;
  running.assign("echo", "1");
  running.result();
  running.acknowledge();
  running.loop.request_stop();
  REQUIRE(running.ended.wait_for(10s) == std::future_status::ready);
  CHECK(running.ended.get());
  CHECK(running.last_state() == AgentState::offline);
}

TEST_CASE("a second request stops a task that still runs, and its result is published before offline") {
  Running running;
  running.assign("wait", "1");
  REQUIRE(running.waiting->get_future().wait_for(10s) == std::future_status::ready);
  running.loop.request_stop();
  running.loop.request_stop();
  running.result();
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
