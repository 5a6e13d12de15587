// The one thread that owns the core. A turn drains the inbox, steps each event, commits everything in one transaction,
// and only then publishes, replies and notifies the listeners.
#pragma once

#include <atomic>
#include <functional>
#include <variant>
#include <vector>

#include "common/mqtt/paho_client.hpp"
#include "common/runtime/inbox.hpp"
#include "common/runtime/log.hpp"
#include "coordinator/shell/after_commit.hpp"
#include "coordinator/shell/engine.hpp"
#include "coordinator/shell/mqtt_link.hpp"
#include "coordinator/shell/parameter_rules.hpp"
#include "coordinator/shell/requests.hpp"
#include "coordinator/shell/start_listener.hpp"
#include "coordinator/shell/stream_hub.hpp"
#include "coordinator/shell/upkeep.hpp"
#include "coordinator/shell/waiters.hpp"
#include "coordinator/store/artifacts/artifacts.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

class Loop {
 public:
  struct Options {
    FleetName fleet;
    mqtt::Options broker;  // its will and client id are filled in later
    Policy policy;
    Retention retention;
    DiskSpace* space = nullptr;  // refuses new tasks; null: the disk is not watched
    std::size_t inbox = 65'536;
    std::size_t inbox_bytes = 64 * 1024 * 1024;
    Duration last_tries = std::chrono::seconds(5);   // to write to a failing store, once the program must end
    mqtt::MakeClient make_client = mqtt::make_paho_client;
    // What the broker knows the listener at the start by; none: the same as this coordinator.
    std::optional<mqtt::TlsFiles> watch_tls;
    SubmitterRules submitter_rules;
    AgentRules agent_rules;
    SubmitterOf submitter_of;  // empty: the broker does not check the names of clients
    RevocationLists revocations;
    bool take_over = false;  // starts although another coordinator works on the fleet: that one stops
  };
  template <typename T>
  using Answer = coordinator::Answer<T>;
  using Retried = coordinator::Retried;

  Loop(Options options, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  Loop(Loop&&) = delete;
  Loop& operator=(Loop&&) = delete;
  ~Loop();

  // Takes over the tasks in the store, under a new epoch. Call before run().
  Status recover();
  [[nodiscard]] std::uint64_t epoch() const { return engine_.state().reign.epoch; }  // after recover()
  // Call before run(); it outlives the loop.
  void tell(CommitListener& listener) { after_commit_.add(listener); }
  // Runs until request_stop(); commits everything and publishes `offline` at the end. Fails if another coordinator
  // works on this fleet, or takes it over later.
  Status run();

  // Call after run(), until the server has stopped: answers the requests that arrived while run() ended.
  void refuse_rest();

  // ---- any thread
  void request_stop();
  // `made` gets the id on the loop's thread, before the task is durable or sent: a listener is registered there.
  void submit(std::string submitter, SubmitTasks::One task, Answer<Acceptance> answer,
              std::function<void(const TaskId&)> made = {});
  void submit_batch(std::string submitter, std::vector<SubmitTasks::One> tasks, std::string idempotency_key,
                    std::string fingerprint, Answer<BatchAcceptance> answer);
  void cancel(TaskId id, Answer<TaskState> answer);
  void retry(std::string submitter, TaskId id, Answer<TaskState> answer);
  // Retries tasks that have failed, been cancelled or expired; a task that cannot be retried does not affect the
  // others.
  void retry_many(std::string submitter, std::vector<TaskId> ids, Answer<Retried> answer);
  void drain(AgentName agent, bool drain, Answer<Drained> answer);
  void reload(AgentName agent, Answer<Reloading> answer);  // answered when the order is given; not when it is done
  void forget(AgentName agent, Answer<AgentName> answer);
  void release(Answer<std::size_t> answer);  // tasks held after a restore; answers how many were released
  // Calls `with` on the loop's thread. An error: it will not be called, because the inbox is full or the program stops.
  Status look(std::function<void(const State&, Now)> with);
  [[nodiscard]] const ParameterRules& rules() const { return rules_; }
  [[nodiscard]] bool broker_up() const { return link_.up(); }
  [[nodiscard]] bool store_well() const { return store_well_; }
  [[nodiscard]] std::string disk_notice() const { return options_.space == nullptr ? "" : options_.space->notice(); }
  [[nodiscard]] std::size_t held() const { return on_hold_; }  // after a restore

 private:
  struct Look {
    std::function<void(const State&, Now)> with;
  };
  struct Wake {};
  struct HeardAtStart {
    mqtt::ClientEvent event;
  };
  using Item = std::variant<mqtt::ClientEvent, LoopRequest, Look, HeardAtStart, Wake>;

  template <typename OneRequest>
  void offer_or_refuse(OneRequest request);

  // ---- a turn
  [[nodiscard]] std::optional<Time> wake_at() const;
  [[nodiscard]] bool waits_for_a_time() const { return engine_.state().task_deadlines.next().has_value(); }
  void turn();
  void take(Item& item);
  void notice_stall(Time since);
  void commit();
  bool record(const Writes& writes);
  bool make_room(const Writes& writes);
  void announce(const Drain::AfterCommit& after, Time mono, bool wrote);
  void perform(const Deferred& effect);
  void refuse_while_failing(Time until, const Error& why);
  bool keep(Item& item, const Error& full);

  // ---- start and end
  Status begin_reign();
  Status connect();
  Status start_listener(StartCheck check);
  void end_listening();
  void listen_if_thrown_out();
  // Until it is known whether another coordinator works on this fleet, new tasks are refused: a program that must not
  // start would keep them.
  // One that has worked already goes on to accept.
  [[nodiscard]] bool undecided() const { return listener_ && listener_->can_hear() && !link_.thrown_out(); }
  Status recover_tasks();
  void cancel_abandoned();
  void end();

  Options options_;
  Store& store_;
  Waiters& waiters_;
  StreamHub& hub_;
  Inbox<Item> inbox_;
  std::vector<Item> postponed_;  // arrived while the store was failing
  log::Complaints complaints_;
  Engine engine_;
  Requests requests_;
  ParameterRules rules_;
  MqttLink link_;
  Upkeep upkeep_;
  AfterCommit after_commit_;
  Time began_;  // run()
  SessionId last_session_;  // of the coordinator that had this store before
  std::unique_ptr<StartListener> listener_;  // until it is known that no other coordinator works on this fleet
  std::optional<std::string> refused_;  // why this program must not run
  std::vector<TaskId> abandoned_;  // found at the start: tasks of clients that have disconnected

  std::atomic<bool> store_well_{true};
  std::atomic<std::size_t> on_hold_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> over_{false};
  std::optional<std::string> unrecorded_;  // why the last drain could not be committed before the program ended
};

}  // namespace edgefleet::coordinator
