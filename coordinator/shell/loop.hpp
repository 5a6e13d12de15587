// The one thread that owns the core: drains the inbox, steps each event, commits everything in one transaction, and
// only then publishes and replies.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <variant>
#include <vector>

#include "common/mqtt/session.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/topics.hpp"
#include "common/runtime/inbox.hpp"
#include "common/runtime/log.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/core/step.hpp"
#include "coordinator/shell/stream_hub.hpp"
#include "coordinator/shell/waiters.hpp"
#include "coordinator/store/artifacts.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

// What a submitter is told once its task is durable.
struct Acceptance {
  TaskId id;
  TaskState state = TaskState::queued;
  std::size_t ahead = 0;
  std::size_t eligible_agents = 0;
  std::string waiting;
};
struct BatchAcceptance {
  BatchId id;
  std::vector<TaskId> tasks;
};

// What a message costs of the bound on the inbox, in bytes.
inline std::size_t weight(const mqtt::Message& message) {
  return message.topic.size() + message.payload.size() + message.response_topic.size() +
         message.correlation_data.size();
}

class Loop {
 public:
  struct Options {
    FleetName fleet;
    mqtt::Options broker;  // its will and client id are filled in here
    Policy policy;
    Retention retention;
    std::size_t inbox = 65'536;
    std::size_t inbox_bytes = 64 * 1024 * 1024;
  };
  template <typename T>
  using Answer = std::function<void(Result<T>)>;  // called once, on the loop's thread: must not wait

  // Submitter of tasks that are somebody's who waits at the other end of a connection: they are cancelled when a
  // coordinator starts, for nobody waits any more.
  static constexpr std::string_view present_client = "present";

  Loop(Options options, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  Loop(Loop&&) = delete;
  Loop& operator=(Loop&&) = delete;
  ~Loop();

  // Takes over what the store holds, under a new epoch. Before run().
  Status recover();
  // Until request_stop(); ends with everything committed and `offline` said. Fails when another coordinator took over.
  Status run();

  // After run(), until nobody asks any more: answers what slipped in while it ended.
  void refuse_rest();

  // ---- any thread
  void request_stop();
  // `made` gets the id on the loop's thread, before the task is durable or sent: whoever listens to it begins there.
  void submit(std::string submitter, SubmitTasks::One task, Answer<Acceptance> answer,
              std::function<void(const TaskId&)> made = {});
  void submit_batch(std::string submitter, std::vector<SubmitTasks::One> tasks, std::string idempotency_key,
                    std::string fingerprint, Answer<BatchAcceptance> answer);
  void cancel(TaskId id, Answer<TaskState> answer);
  void retry(TaskId id, Answer<TaskState> answer);
  // Those that have ended otherwise than well run again; one that cannot does not keep the others from it.
  struct Retried {
    std::size_t tasks = 0;
    std::vector<std::pair<TaskId, Error>> refused;
  };
  void retry_many(std::vector<TaskId> ids, Answer<Retried> answer);
  void drain(AgentName agent, bool drain, Answer<AgentState> answer);
  void release(Answer<std::size_t> answer);  // what is held after a restore; answers how many tasks that was
  // Looks at the state on the loop's thread. False: the inbox is full.
  bool look(std::function<void(const State&, Now)> with);
  [[nodiscard]] bool broker_up() const { return broker_up_; }
  [[nodiscard]] bool store_well() const { return store_well_; }
  [[nodiscard]] std::size_t held() const { return held_tasks_; }  // after a restore

 private:
  struct Submit {
    std::string submitter;
    SubmitTasks::One task;
    Answer<Acceptance> answer;
    std::function<void(const TaskId&)> made{};
  };
  struct SubmitBatch {
    std::string submitter;
    std::vector<SubmitTasks::One> tasks;
    std::string idempotency_key;
    std::string fingerprint;
    Answer<BatchAcceptance> answer;
  };
  struct Cancel {
    TaskId id;
    Answer<TaskState> answer;
  };
  struct Retry {
    TaskId id;
    Answer<TaskState> answer;
  };
  struct RetryMany {
    std::vector<TaskId> ids;
    Answer<Retried> answer;
  };
  struct Drain {
    AgentName agent;
    bool drain = true;
    Answer<AgentState> answer;
  };
  struct Release {
    Answer<std::size_t> answer;
  };
  struct Look {
    std::function<void(const State&, Now)> with;
  };
  struct Wake {};
  using Item =
      std::variant<mqtt::ClientEvent, Submit, SubmitBatch, Cancel, Retry, RetryMany, Drain, Release, Look, Wake>;
  // What to tell whom when the drain is durable: by the request's number.
  using Reply = std::function<void(Result<std::vector<TaskId>>)>;

  static Now now();
  void offer_or_refuse(Item item, const std::function<void(Error)>& refuse);

  // ---- one drain
  std::optional<Time> wake_at() const;
  void take(Item& item);
  void handle(const mqtt::ClientEvent& event);
  void handle(Submit& submit);
  void handle(SubmitBatch& submit);
  void handle(Cancel& cancel);
  void handle(Retry& retry);
  void handle(RetryMany& retry);
  void retry_one(const TaskId& id, const Answer<TaskState>& answer);
  void handle(Drain& drain);
  void handle(Release& release);
  void handle(const Look& look);
  void handle(const Wake&) {}
  void step(const Event& event);
  void notice_stall(Time since);
  void hear_part(const AgentName& agent, const mqtt::Message& message);
  void notice_drops();
  void offer_from_broker(mqtt::ClientEvent event);
  bool refuse_or_keep(Item& item, const Error& full);
  void commit();
  std::vector<Item> refuse_while_failing(Time until, const Error& why);
  void perform(const Effect& effect);
  RequestId expect(Reply reply);
  [[nodiscard]] Acceptance acceptance_of(const TaskId& id, TaskState ended);
  const Explanation& explained(const ClassKey& key);
  void say_goodbye();

  // ---- upkeep of the store
  [[nodiscard]] Duration running_time(Time now) const { return clock_base_ + (now - clock_start_); }
  [[nodiscard]] std::optional<Time> upkeep_at() const;
  void upkeep();
  void keep_time();
  void purge();

  // ---- MQTT
  void receive(const mqtt::Message& message);
  template <typename T, typename MakeEvent>
  void decoded(const mqtt::Message& message, Result<T> payload, MakeEvent make);
  void take_submission(const protocol::Topic& topic, const mqtt::Message& message);
  bool can_be_answered(const protocol::Topic& topic, const mqtt::Message& message);
  void refuse_submission(const mqtt::Message& message, const Error& error);
  void reply_over_mqtt(const mqtt::Message& request, std::string payload);
  void send_replies();
  void answer_when_ended(const TaskId& id, const mqtt::Message& request);
  void perform_mqtt(mqtt::Actions actions);
  void publish(const protocol::Topic& topic, std::string payload);
  void announce(protocol::CoordinatorState state);
  void send(const SendTasks& effect);
  void control(const AgentName& agent, protocol::ControlType type, const std::vector<AttemptKey>& tasks, bool unknown);
  void answer_from_store(const AskStore& ask);

  Options options_;
  Store& store_;
  Artifacts& artifacts_;
  Waiters& waiters_;
  StreamHub& hub_;
  std::vector<TaskId> abandoned_;  // found at the start: tasks of clients that have gone
  protocol::Topics topics_;
  State state_;
  Inbox<Item> inbox_;
  std::vector<Item> held_;  // arrived while the store was failing
  log::Complaints complaints_;

  // of the present drain
  std::unordered_map<TaskId, bool> dirty_;  // -> created in this drain
  Writes writes_;
  std::vector<Effect> after_commit_;
  std::unordered_map<std::string, std::size_t> keys_in_drain_;

  // The store's clock (Writes::clock) is this at that moment, and runs with the monotonic one.
  Duration clock_base_{0};
  Time clock_start_;
  Time clock_kept_;  // when the store last learned it
  Time purge_at_;
  std::size_t purge_step_ = 64;

  std::map<ClassKey, std::pair<Time, Explanation>> explained_;
  RequestId last_request_ = 0;
  std::unordered_map<RequestId, Reply> replies_;
  std::unordered_map<BatchId, std::size_t> batch_rest_;  // tasks without an outcome
  std::unordered_multimap<TaskId, mqtt::Message> mqtt_requests_;  // who waits for an outcome over MQTT
  std::deque<mqtt::Message> mqtt_replies_;  // not yet given to the connection

  mqtt::Session session_;
  std::unique_ptr<mqtt::Client> client_;
  std::atomic<bool> broker_up_{false};
  std::atomic<bool> store_well_{true};
  std::atomic<std::size_t> held_tasks_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> over_{false};
  std::optional<std::string> fatal_;
  std::atomic<std::size_t> inbox_bytes_{0};  // of messages
  std::atomic<std::uint64_t> dropped_{0};
  std::uint64_t dropped_said_ = 0;
};

}  // namespace edgefleet::coordinator
