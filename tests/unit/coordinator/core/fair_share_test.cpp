// Clients share the fleet: properties of placement with several clients, by random fleets, classes and arrivals.
#include <map>
#include <random>
#include <set>

#include "coordinator/core/submitter.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

// Executors without a model or prefetch, and what is placed on them.
class Fleet {
 public:
  struct Placed {
    ClientIndex client = 0;
    ClassIndex in = 0;
    ExecutorIndex executor = 0;
    OrderKey task;
  };

  explicit Fleet(unsigned seed) : random_(seed) {}

  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  ExecutorIndex add_executor(int slots, const std::string& room = "a") {
    ExecutorView view;
    view.agent = static_cast<AgentIndex>(executors_.size());
    view.agent_name = agent("pi-" + std::to_string(executors_.size()));
    view.info.name = executor_name("main");
    view.info.capabilities = {capability("work")};
    view.info.slots = view.slots = slots;
    view.open = true;
    view.labels = std::make_shared<const Labels>(Labels{{"room", room}});
    executors_.push_back(placement.add(std::move(view)));
    slots_ += slots;
    return executors_.back();
  }
  [[nodiscard]] int slots() const { return slots_; }

  ClassIndex class_where(const Where& where = {}) { return placement.class_of({capability("work"), where}); }
  ClassIndex pinned(int executor) { return class_where({{"agent", "pi-" + std::to_string(executor)}}); }

  OrderKey submit(ClientIndex client, ClassIndex in, int priority = 0) {
    const OrderKey key{++clock_ - priority * 60'000, TaskId{Ulid{1, static_cast<std::uint64_t>(clock_)}}};
    placement.enqueue(in, client, key);
    waiting[key] = {client, in};
    return key;
  }
  void cancel(const OrderKey& key) {
    const auto [client, in] = waiting.at(key);
    REQUIRE(placement.dequeue(in, client, key));
    waiting.erase(key);
  }

  std::optional<Placed> next() {
    const auto choice = placement.next([](const TaskId&) { return Placement::Preferences{}; },
                                       [](AgentIndex) { return false; }, Time{});
    if (!choice) return std::nullopt;
    placement.update(choice->executor, [](ExecutorView& view) { ++view.assigned; });
    const auto [client, in] = waiting.at(choice->task);
    waiting.erase(choice->task);
    running_.push_back(choice->executor);
    return Placed{client, in, choice->executor, choice->task};
  }
  std::vector<Placed> place() {
    std::vector<Placed> all;
    while (const auto one = next()) all.push_back(*one);
    return all;
  }
  bool finish_one() {
    if (running_.empty()) return false;
    const auto at = static_cast<std::size_t>(pick(static_cast<int>(running_.size())));
    std::swap(running_[at], running_.back());
    placement.update(running_.back(), [](ExecutorView& view) { --view.assigned; });
    running_.pop_back();
    return true;
  }
  [[nodiscard]] bool serves(ExecutorIndex executor, ClassIndex in) const {
    const auto members = placement.members(in);
    return std::find(members.begin(), members.end(), executor) != members.end();
  }

  Placement placement;
  std::map<OrderKey, std::pair<ClientIndex, ClassIndex>> waiting;

 private:
  std::mt19937 random_;
  std::vector<ExecutorIndex> executors_;
  std::vector<ExecutorIndex> running_;
  std::int64_t clock_ = 0;
  int slots_ = 0;
};

}  // namespace

TEST_CASE("a client with 100,000 queued tasks delays another's first task by at most one task a slot") {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    Fleet fleet(seed);
    for (int i = 0; i < 1 + fleet.pick(5); ++i) fleet.add_executor(1 + fleet.pick(4), fleet.pick(2) == 0 ? "a" : "b");
    // In one class, or spread over several that share the executors.
    std::vector<ClassIndex> classes{fleet.class_where()};
    if (seed % 2 == 0) {
      for (const char* room : {"a", "b"}) classes.push_back(fleet.class_where({{"room", room}}));
      classes.push_back(fleet.pinned(0));
    }
    for (int i = 0; i < 100'000; ++i) {
      fleet.submit(0, classes[static_cast<std::size_t>(i) % classes.size()], fleet.pick(10));
    }
    fleet.place();
    for (int i = 0; i < fleet.pick(2000); ++i) {
      fleet.finish_one();
      fleet.place();
    }
    for (ClientIndex other = 1; other <= 3; ++other) {
      const auto in = classes[static_cast<std::size_t>(fleet.pick(2)) % classes.size()];
      if (fleet.placement.members(in).empty()) continue;
      const OrderKey first = fleet.submit(other, in);
      int before = 0;  // on the executors that can run it
      while (fleet.waiting.count(first) > 0) {
        REQUIRE(fleet.finish_one());
        for (const auto& placed : fleet.place()) before += fleet.serves(placed.executor, in) ? 1 : 0;
        if (before > fleet.slots())
          FAIL("it still waits after " << before << " tasks on " << fleet.slots() << " slots");
      }
    }
  }
}

TEST_CASE("clients that always have tasks get tasks in proportion to their weights, within one turn") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Fleet fleet(seed);
    for (int i = 0; i < 1 + fleet.pick(4); ++i) fleet.add_executor(1 + fleet.pick(3));
    const std::vector<ClassIndex> classes{fleet.class_where(), fleet.class_where({{"room", "a"}}),
                                          fleet.class_where({{"cpus", ">=0"}})};
    const auto clients = static_cast<ClientIndex>(2 + fleet.pick(6));
    std::vector<int> weight;
    std::vector<int> spread;  // over so many classes
    std::map<ClientIndex, int> queued;
    const auto fill = [&](ClientIndex client) {
      for (int& n = queued[client]; n < 30; ++n) {
        fleet.submit(client, classes[static_cast<std::size_t>(fleet.pick(spread[client]))], fleet.pick(3));
      }
    };
    for (ClientIndex client = 0; client < clients; ++client) {
      weight.push_back(seed % 3 == 0 ? 1 : 1 + fleet.pick(5));
      spread.push_back(1 + fleet.pick(3));
      fleet.placement.set_weight(client, weight.back());
    }
    // They come one after the other; from then on each has a share.
    std::vector<std::map<ClientIndex, double>> turns_since;  // by client: turns of the others since it came
    for (ClientIndex client = 0; client < clients; ++client) {
      fill(client);
      turns_since.emplace_back();
      for (int i = 0; i < 400; ++i) {
        fleet.finish_one();
        for (const auto& placed : fleet.place()) {
          --queued[placed.client];
          fill(placed.client);
          for (auto& turns : turns_since) turns[placed.client] += 1.0 / weight[placed.client];
        }
      }
    }
    // Over any time in which both had tasks, two clients differ by at most a turn at its beginning and one at its end.
    // A turn of one task has no part of it at the beginning.
    const double most = seed % 3 == 0 ? 1.01 : 2.01;
    for (ClientIndex one = 0; one < clients; ++one) {
      for (ClientIndex other = 0; other < one; ++other) {
        CAPTURE(one, other, weight[one], weight[other], spread[one], spread[other]);
        CHECK(std::abs(turns_since[one][one] - turns_since[one][other]) <= most);
      }
    }
  }
}

TEST_CASE("whatever comes, no client starves, and an executor takes the first of a client's tasks that it can run") {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    Fleet fleet(seed);
    for (int i = 0; i < 2 + fleet.pick(4); ++i) fleet.add_executor(1 + fleet.pick(2), fleet.pick(2) == 0 ? "a" : "b");
    const std::vector<ClassIndex> classes{fleet.class_where(), fleet.class_where({{"room", "a"}}),
                                          fleet.class_where({{"room", "b"}}), fleet.pinned(0), fleet.pinned(1)};
    for (const ClassIndex in : classes) fleet.submit(0, in);  // so that they are kept
    // How often each other client was served where this one waits, since it was last served there or began to wait.
    std::map<std::pair<ClientIndex, ClassIndex>, std::map<ClientIndex, int>> passed;
    const auto waits = [&](ClientIndex client, ClassIndex in) {
      return std::ranges::any_of(fleet.waiting, [&](const auto& one) { return one.second == std::pair{client, in}; });
    };
    const auto check = [&](const Fleet::Placed& placed) {
      for (const auto& [key, of] : fleet.waiting) {
        if (of.first == placed.client && fleet.serves(placed.executor, of.second)) CHECK(placed.task < key);
      }
      for (const ClassIndex in : classes) {
        if (!fleet.serves(placed.executor, in)) continue;
        passed.erase({placed.client, in});
        for (ClientIndex client = 0; client < 6; ++client) {
          if (client == placed.client || !waits(client, in)) continue;
          const int times = ++passed[{client, in}][placed.client];
          if (times > static_cast<int>(classes.size())) {
            FAIL_CHECK("client " << client << " was passed " << times << " times by " << placed.client);
          }
        }
      }
    };
    for (int turn = 0; turn < 1500; ++turn) {
      if (fleet.waiting.size() < 60) {
        const auto client = static_cast<ClientIndex>(std::min(fleet.pick(6), fleet.pick(6)));
        const auto in = classes[static_cast<std::size_t>(fleet.pick(static_cast<int>(classes.size())))];
        if (!waits(client, in)) passed.erase({client, in});
        fleet.submit(client, in, fleet.pick(3));
      }
      if (fleet.pick(8) == 0 && !fleet.waiting.empty()) {
        fleet.cancel(std::next(fleet.waiting.begin(), fleet.pick(static_cast<int>(fleet.waiting.size())))->first);
      }
      if (fleet.pick(3) == 0) fleet.finish_one();
      while (const auto placed = fleet.next()) check(*placed);
    }
  }
}

TEST_CASE("who comes one task at a time gets as much as who has queued many, and not more") {
  for (const int slots : {1, 3}) {
    Fleet fleet(7);
    fleet.add_executor(slots);
    const auto in = fleet.class_where();
    for (int i = 0; i < 10'000; ++i) fleet.submit(0, in);
    std::map<ClientIndex, int> got;
    for (int i = 0; i < 3'000; ++i) {
      fleet.finish_one();
      if (std::ranges::none_of(fleet.waiting, [](const auto& one) { return one.second.first == 1; }))
        fleet.submit(1, in);
      for (const auto& placed : fleet.place()) ++got[placed.client];
    }
    CHECK(std::abs(got[0] - got[1]) <= 2);
  }
}

TEST_CASE("a client alone has the order of its tasks only, and the first task of a second one comes next") {
  Fleet fleet(1);
  fleet.add_executor(1);
  const auto in = fleet.class_where();
  const auto other = fleet.class_where({{"room", "a"}});
  std::vector<OrderKey> all;
  for (int i = 0; i < 50; ++i) all.push_back(fleet.submit(0, i % 2 == 0 ? in : other, fleet.pick(3)));
  std::sort(all.begin(), all.end());
  for (int i = 0; i < 40; ++i) {
    CHECK(fleet.next()->task == all[static_cast<std::size_t>(i)]);
    fleet.finish_one();
  }
  const auto urgent = fleet.submit(0, in, 1000);
  const auto first = fleet.submit(1, in);
  CHECK(fleet.next()->task == first);
  fleet.finish_one();
  CHECK(fleet.next()->task == urgent);
}

TEST_CASE("priority counts among the tasks of one client only") {
  Fleet fleet(1);
  fleet.add_executor(1);
  const auto in = fleet.class_where();
  for (ClientIndex client : {0U, 1U}) {
    for (int i = 0; i < 10; ++i) fleet.submit(client, in, client == 0 ? 1000 : 0);
  }
  std::map<ClientIndex, int> got;
  for (int i = 0; i < 10; ++i) {
    ++got[fleet.next()->client];
    fleet.finish_one();
  }
  CHECK(got[0] == 5);
  CHECK(got[1] == 5);
}

TEST_CASE("the estimate of the tasks ahead is exact for one client, and near for several") {
  Fleet fleet(3);
  fleet.add_executor(1);
  const auto in = fleet.class_where();
  std::vector<OrderKey> mine;
  for (int i = 0; i < 20; ++i) mine.push_back(fleet.submit(0, in));
  CHECK(fleet.placement.ahead(in, 0, mine[0]) == 0);
  CHECK(fleet.placement.ahead(in, 0, mine[19]) == 19);
  SECTION("others with few tasks, and one with many") {
    for (ClientIndex client = 1; client <= 30; ++client) {
      for (int i = 0; i < (client == 1 ? 1000 : 3); ++i) fleet.submit(client, in);
    }
    for (const int at : {0, 5, 19}) {
      const OrderKey task = mine[static_cast<std::size_t>(at)];
      const auto estimate = fleet.placement.ahead(in, 0, task);
      INFO("estimated " << estimate);
      Fleet copy(3);  // the same again, to see when it really comes
      copy.add_executor(1);
      const auto same = copy.class_where();
      for (int i = 0; i < 20; ++i) copy.submit(0, same);
      for (ClientIndex client = 1; client <= 30; ++client) {
        for (int i = 0; i < (client == 1 ? 1000 : 3); ++i) copy.submit(client, same);
      }
      std::size_t before = 0;
      for (; copy.next()->task != task; ++before) copy.finish_one();
      CHECK(estimate == before);
    }
  }
  SECTION("more clients than are looked at") {
    for (ClientIndex client = 1; client <= 2000; ++client) fleet.submit(client, in);
    CHECK(fleet.placement.ahead(in, 0, mine[0]) == 2000);
    CHECK(fleet.placement.ahead(in, 0, mine[10]) == 2010);
  }
}

namespace {

ExecutorView with_models(const std::string& name, std::vector<std::string> loaded) {
  ExecutorView view;
  view.agent_name = agent(name);
  view.info.name = executor_name("main");
  view.info.capabilities = {capability("llm.chat")};
  view.info.provider = "ollama";
  view.info.models = {"big", "small"};
  view.info.loaded_models = std::move(loaded);
  view.info.slots = view.slots = 1;
  view.open = true;
  view.most_loaded = 1;
  return view;
}

struct Models {
  Placement placement;
  std::int64_t clock = 0;
  std::map<OrderKey, ClientIndex> of;
  std::map<TaskId, Time> patient_until;

  ClassIndex class_of(const std::string& model) {
    return placement.class_of({capability("llm.chat"), {{"model", model}}});
  }
  OrderKey ask(ClientIndex client, const std::string& model, Time patient = {}) {
    const OrderKey key{++clock, TaskId{Ulid{1, static_cast<std::uint64_t>(clock)}}};
    placement.enqueue(class_of(model), client, key);
    of[key] = client;
    patient_until[key.id] = patient;
    return key;
  }
  std::optional<Placement::Choice> next(Time now) {
    placement.reconsider();
    auto choice =
        placement.next([&](const TaskId& id) { return Placement::Preferences{nullptr, patient_until.at(id)}; },
                       [](AgentIndex) { return false; }, now);
    if (choice) placement.update(choice->executor, [](ExecutorView& view) { ++view.assigned; });
    return choice;
  }
  void end(ExecutorIndex executor) {
    placement.update(executor, [](ExecutorView& view) { --view.assigned; });
  }
};

}  // namespace

TEST_CASE("a model that others have loaded delays a client by at most a minute past its turn") {
  Models m;
  const auto only = m.placement.add(with_models("pi", {"big"}));
  for (int i = 0; i < 1000; ++i) m.ask(0, "big");
  const OrderKey other = m.ask(1, "small");
  Time now{1h};
  const Time asked = now;
  for (;; now += 5s) {
    const auto choice = m.next(now);
    REQUIRE(choice);
    if (choice->task == other) break;
    REQUIRE(now < asked + 120s);
    m.end(only);
  }
  CHECK(now - asked == Placement::seniority);
}

TEST_CASE("a client that waits for its model does not hold up the others of its class") {
  Models m;
  const auto busy = m.placement.add(with_models("busy", {"big"}));
  m.placement.update(busy, [](ExecutorView& view) { view.assigned = 1; });
  const auto idle = m.placement.add(with_models("idle", {"small"}));
  const Time now{1h};
  m.ask(0, "big", now);  // has waited for long enough
  const OrderKey waited = m.ask(0, "big", now);
  m.ask(1, "big", now + 10s);
  const auto choice = m.next(now);
  REQUIRE(choice);
  CHECK(choice->executor == idle);
  CHECK(m.of.at(choice->task) == 0);
  CHECK(choice->task < waited);
}

TEST_CASE("the submitters of one access are one client") {
  CHECK(client_of("alice") == "alice");
  CHECK(client_of("present:alice") == "alice");
  CHECK(client_of("alice-mqtt-x1y2") == "alice-mqtt-x1y2");
  CHECK(client_of("present") == local_client);
  CHECK(client_of("http") == local_client);
  CHECK(client_of("presently") == "presently");
  CHECK(client_of("mqtt:alice") == "mqtt:alice");
}
