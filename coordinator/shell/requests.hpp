// Requests to the loop, over HTTP and MQTT: submit, cancel, retry, drain, reload, release. Each becomes an event, and
// its answer is given after the commit that made it durable. Only on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "coordinator/core/answers.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/shell/engine.hpp"
#include "coordinator/store/data/disk_space.hpp"
#include "coordinator/store/port.hpp"

namespace edgefleet::coordinator {

template <typename T>
using Answer = std::function<void(Result<T>)>;  // called once, on the loop's thread: must not block

struct SubmitRequest {
  std::string submitter;
  SubmitTasks::One task;
  Answer<Acceptance> answer;
  std::function<void(const TaskId&)> made{};  // gets the id before the task is durable or sent
  std::function<Status()> check{};  // what else the task needs; asked only if the submitter may submit it
};
struct SubmitBatchRequest {
  std::string submitter;
  SubmitTasks::Batch batch;
  std::vector<SubmitTasks::One> tasks;
  Answer<BatchAcceptance> answer;
};
struct CancelRequest {
  TaskId id;
  Answer<TaskState> answer;
};
struct RetryRequest {
  std::string submitter;  // who retries: it must be one who may submit such a task
  TaskId id;
  Answer<TaskState> answer;
};
struct RetryManyRequest {
  std::string submitter;
  std::vector<TaskId> ids;
  Answer<Retried> answer;
};
struct DrainRequest {
  AgentName agent;
  bool drain = true;
  Answer<Drained> answer;
};
struct ReloadRequest {
  AgentName agent;
  Answer<Reloading> answer;
};
struct RemoveRequest {
  AgentName agent;
  Answer<AgentName> answer;
};
struct ReleaseRequest {
  Answer<std::size_t> answer;
};
using LoopRequest = std::variant<SubmitRequest, SubmitBatchRequest, CancelRequest, RetryRequest, RetryManyRequest,
                                 DrainRequest, ReloadRequest, RemoveRequest, ReleaseRequest>;

// Requests that add tasks are refused at once while nothing can be recorded.
bool adds_tasks(const LoopRequest& request);
void refuse(const LoopRequest& request, const Error& why);

// What is asked about submitters, on the loop's thread. An empty function: there are no rules.
struct SubmitterRules {
  using Specs = std::vector<const TaskSpec*>;
  // Whether it may submit these tasks now; they count against its tasks a minute.
  std::function<Status(const std::string& submitter, const Specs& specs)> may_submit;
  std::function<std::uint64_t(const std::string& submitter)> tokens_per_day;  // the budget; 0: none
};
// Whose the tasks are of a client of this name at the broker, which has checked it. On the loop's thread.
using SubmitterOf = std::function<Result<std::string>(const std::string& client)>;

class Requests {
 public:
  // `space` refuses new tasks; null: the disk is not watched.
  Requests(Engine& engine, Store& store, DiskSpace* space = nullptr, SubmitterRules rules = {})
      : engine_(engine), store_(store), space_(space), rules_(std::move(rules)) {}

  void take(LoopRequest request);

  // ---- after the commit
  void answer(const Accepted& accepted) { reply(accepted.request, accepted); }
  void answer(const Rejected& rejected) { reply(rejected.request, rejected.error); }
  void answer(const Done& done) { reply(done.request, Accepted{done.request, {}, {}}); }
  // The program ends: requests that still wait for their commit are answered with `why`.
  void refuse_waiting(const Error& why);

 private:
  // The reply to send when the drain is durable, by request number. A Done has no ids.
  using Reply = std::function<void(const Result<Accepted>&)>;

  void handle(SubmitRequest request);
  void handle(SubmitBatchRequest request);
  void handle(const CancelRequest& request);
  void handle(const RetryRequest& request);
  void handle(const RetryManyRequest& request);
  void handle(const DrainRequest& request);
  void handle(const ReloadRequest& request);
  void handle(const RemoveRequest& request);
  void handle(const ReleaseRequest& request);
  void retry_one(const std::string& submitter, const TaskId& id, const Answer<TaskState>& answer);
  void answer_cancel(const TaskId& id, const Result<Accepted>& done, const Answer<TaskState>& answer);

  // The earlier use of a key, from the store.
  struct Earlier {
    std::optional<TaskRecord> task;
    std::optional<BatchRecord> batch;
    [[nodiscard]] KeyUse use() const;
    [[nodiscard]] bool none() const { return !task && !batch; }
  };
  Result<Earlier> earlier(const std::string& submitter, const std::string& key);
  [[nodiscard]] Status allowed(const SubmitTasks& event) const;
  [[nodiscard]] std::uint64_t tokens_per_day(const std::string& submitter) const;
  void expect_tokens(SubmitTasks& event) const;
  Status room_for_tasks();
  Result<BatchAcceptance> same_batch(const BatchRecord& batch);

  RequestId expect(Reply reply);
  void reply(RequestId request, const Result<Accepted>& with);
  [[nodiscard]] Acceptance acceptance_of(const TaskId& id, TaskState ended);
  const Explanation& explained(const ClassKey& key);

  Engine& engine_;
  Store& store_;
  DiskSpace* space_;
  SubmitterRules rules_;
  RequestId last_request_ = 0;
  std::unordered_map<RequestId, Reply> replies_;
  std::map<ClassKey, std::pair<Time, Explanation>> explained_;
};

}  // namespace edgefleet::coordinator
