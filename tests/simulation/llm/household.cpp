#include "tests/simulation/llm/household.hpp"

#include <algorithm>
#include <functional>
#include <map>

#include "tests/support/coordinator.hpp"

namespace edgefleet::simulation {
namespace {

using namespace edgefleet::coordinator;
using test::capability;
using test::executor_name;
using test::session;

Duration seconds(double s) { return Duration{static_cast<std::int64_t>(s * 1e9)}; }

struct Server {
  AgentName name;
  std::string loaded;
  int talk = -1;         // whose prompt it remembers
  int remembered = 0;    // tokens
  std::optional<TaskId> doing;
};

struct Turn {
  int talk = 0;
  int tokens = 0;  // of the prompt: the conversation so far, and the new question
  Time asked;
};

class Household {
 public:
  Household(const Servers& servers, const std::vector<Talk>& talks, Placing placing)
      : model_(servers), talks_(talks), placing_(placing), left_(talks.size()), tokens_(talks.size()) {
    for (int i = 0; i < servers.agents; ++i) {
      servers_.push_back({test::agent("pi" + std::to_string(i)), "", -1, 0, {}});
      join(servers_.back());
      beat_later(i);
    }
    for (std::size_t i = 0; i < talks.size(); ++i) {
      left_[i] = talks[i].turns;
      at(talks[i].begins, [this, i] { ask(static_cast<int>(i)); });
    }
  }

  Figures run() {
    const Time began = world_.now.mono;
    while (unanswered()) {
      const Time next = events_.begin()->first;
      if (const auto deadline = next_deadline(world_.state); deadline && *deadline < next) {
        world_.pass(std::max(Duration{0}, *deadline - world_.now.mono));
      } else {
        world_.pass(next - world_.now.mono);
        begin_what_was_sent();
        const auto what = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        what();
      }
      begin_what_was_sent();
    }
    figures_.whole = world_.now.mono - began;
    figures_.mean_wait = figures_.answers == 0 ? Duration{0} : waits_ / figures_.answers;
    return figures_;
  }

 private:
  void at(Duration in, std::function<void()> what) { events_.emplace(world_.now.mono + in, std::move(what)); }
  [[nodiscard]] bool unanswered() const {
    return !turns_.empty() || std::any_of(left_.begin(), left_.end(), [](int turns) { return turns > 0; });
  }

  // ---- agents

  static SessionId life(const Server& server) { return session(server.name.str()); }

  void tell_info(const Server& server) {
    AgentInfo info;
    info.session = life(server);
    ExecutorInfo executor;
    executor.name = executor_name("main");
    executor.capabilities = {capability("llm.chat")};
    executor.provider = "ollama";
    executor.models = model_.models;
    if (placing_ == Placing::ours && !server.loaded.empty()) executor.loaded_models = {server.loaded};
    info.executors.push_back(std::move(executor));
    world_.receive(AgentInfoSeen{server.name, std::move(info)});
  }

  void beat(const Server& server) {
    std::vector<HeldTask> held;
    if (server.doing) held.push_back(test::Conversation::holding(*server.doing));
    world_.beat(server.name.str(), server.name.str(), server.doing ? 0 : 1, std::move(held));
  }

  void join(const Server& server) {
    tell_info(server);
    beat(server);
    world_.receive(AgentStatusSeen{server.name, {AgentState::online, life(server)}});
  }

  void beat_later(int index) {
    at(heartbeat_interval, [this, index] {
      beat(servers_[static_cast<std::size_t>(index)]);
      beat_later(index);
    });
  }

  void begin_what_was_sent() {
    for (const SendTasks& sent : std::exchange(world_.sent, {})) {
      const auto server =
          std::find_if(servers_.begin(), servers_.end(), [&](const Server& one) { return one.name == sent.agent; });
      for (const AttemptKey& task : sent.tasks) begin(*server, task);
    }
  }

  // Loads the model, reads the part of the prompt that is not cached, and answers.
  void begin(Server& server, const AttemptKey& task) {
    const Turn turn = turns_.at(task.id);
    const Talk& talk = talks_[static_cast<std::size_t>(turn.talk)];
    server.doing = task.id;
    Duration silence{0};
    if (server.loaded != talk.model) {
      ++figures_.loads;
      silence += model_.load;
      server.loaded = talk.model;
      server.talk = -1;
    }
    const int unread = turn.tokens - (server.talk == turn.talk ? server.remembered : 0);
    figures_.prompt_tokens += turn.tokens;
    figures_.read_tokens += unread;
    silence += seconds(unread / model_.prompt_rate);
    const Duration wait = world_.now.mono - turn.asked + silence;
    waits_ += wait;
    figures_.longest_wait = std::max(figures_.longest_wait, wait);
    server.talk = turn.talk;
    server.remembered = turn.tokens + talk.answer_tokens;
    at(silence, [this, &server] { tell_info(server); });
    const Duration run = silence + seconds(talk.answer_tokens / model_.answer_rate);
    at(run, [this, &server, task, run] { end(server, task, run); });
  }

  void end(Server& server, const AttemptKey& task, Duration run) {
    server.doing.reset();
    const Turn turn = turns_.at(task.id);
    turns_.erase(task.id);
    ++figures_.answers;
    world_.receive(
        ResultsSeen{server.name, {TaskResult{task.id, task.attempt, ResultStatus::succeeded, "{}", {}, run, {}, {}}}});
    world_.receive(Committed{{task.id}});
    world_.place();
    const auto index = static_cast<std::size_t>(turn.talk);
    tokens_[index] = turn.tokens + talks_[index].answer_tokens;
    if (left_[index] > 0) at(talks_[index].pause, [this, turn] { ask(turn.talk); });
  }

  // ---- people

  void ask(int talk) {
    const auto index = static_cast<std::size_t>(talk);
    const Talk& current = talks_[index];
    const int turn = current.turns - left_[index]--;
    SubmitTasks::One one;
    one.spec.capability = capability("llm.chat");
    one.spec.where = {{"model", current.model}};
    one.spec.timeout = std::chrono::hours(10);
    if (placing_ == Placing::ours) {
      for (int i = 0; i <= 2 * turn; ++i) one.beginnings.push_back(static_cast<std::uint64_t>(talk * 1000 + i + 1));
    }
    world_.receive(SubmitTasks{1, "somebody", {}, {std::move(one)}});
    const TaskId id = world_.find<Accepted>()->ids.front();
    turns_[id] = {talk, tokens_[index] + current.question_tokens, world_.now.mono};
    world_.place();
  }

  const Servers& model_;
  const std::vector<Talk>& talks_;
  const Placing placing_;
  test::Conversation world_;
  std::vector<Server> servers_;
  std::multimap<Time, std::function<void()>> events_;
  std::map<TaskId, Turn> turns_;  // asked and not answered
  std::vector<int> left_;         // turns of each talk
  std::vector<int> tokens_;  // of each talk so far
  Duration waits_{0};
  Figures figures_;
};

}  // namespace

Figures simulate(const Servers& servers, const std::vector<Talk>& talks, Placing placing) {
  return Household(servers, talks, placing).run();
}

}  // namespace edgefleet::simulation
