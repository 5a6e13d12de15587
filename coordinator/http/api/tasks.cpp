// /api/v1/tasks
#include "common/protocol/json.hpp"
#include "common/protocol/submission.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/body_bounds.hpp"
#include "coordinator/http/requests.hpp"
#include "coordinator/shell/texts.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {
namespace {

std::string retried_view(const Loop::Retried& retried, const std::string& next) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.unsigned_integer("retried", retried.tasks);
    {
      json::ArrayWriter refused(object.key("refused"));
      for (const auto& [id, error] : retried.refused) {
        json::ObjectWriter element(refused.next());
        element.string("id", id.str());
        element.string("detail", error.message);
      }
    }
    if (!next.empty()) object.string("next", next);
  }
  return body;
}

Query query_of(const Request& request) {
  return [&request](const std::string& name) { return request.parameter(name); };
}

class TaskHandlers {
 public:
  explicit TaskHandlers(const Parts& parts) : parts_(parts) {}

  void submit(const Request& request, const Responder& responder) const {
    auto submission = protocol::decode_submission(request.body, parts_.max_task_bytes);
    if (!submission) return responder.answer(problem(submission.error()));
    if (auto good = check_task(parts_, submission->spec); !good) return responder.answer(problem(good.error()));
    const std::string submitter = submitter_of(request.principal);
    if (!has_large_input(submission->spec)) {
      return submit_checked(parts_, submitter, std::move(*submission), responder);
    }
    const auto kept = std::make_shared<protocol::Submission>(std::move(*submission));
    responder.run_upload([parts = parts_, submitter, kept, share = request.share, responder] {
      if (auto good = keep_large_input(parts.artifacts, kept->spec); !good)
        return responder.answer(problem(good.error().context("`input`")));
      submit_checked(parts, submitter, std::move(*kept), responder);
    });
  }

  void get(const Request& request, const Responder& responder) const {
    const auto id = seen_task(parts_, request, responder);
    if (!id) return;
    const auto wait = read_wait(query_of(request));
    if (!wait) return responder.answer(problem(wait.error()));
    const auto within = read_inline(query_of(request));
    if (!within) return responder.answer(problem(within.error()));
    Poll poll;
    poll.finished = [parts = parts_, id = *id, within = *within]() -> std::optional<Reply> {
      auto record = parts.store.reader()->task(id);
      if (!record) return problem(record.error());
      if (!*record) return problem(no_such_task(id));
      if (!ended((**record).state)) return std::nullopt;
      const auto turn = parts.large_outputs.turn(**record);
      const auto loaded = within ? load_output(parts.artifacts, **record) : success();
      const auto missing = loaded ? "" : loaded.error().context("the output of task " + id.str()).message;
      return json_reply(200, task_view(**record, {{}, 0, {}, missing}));
    };
    poll.otherwise = [parts = parts_, id = *id](const Responder& r) { answer_unfinished(parts, id, r); };
    wait_for(parts_, *id, *wait, responder, std::move(poll));
  }

  void list(const Request& request, const Responder& responder) const {
    auto query = read_task_query(query_of(request));
    if (!query) return responder.answer(problem(query.error()));
    if (sees_own_only(request.principal)) query->submitter = submitter_of(request.principal);
    auto records = parts_.store.reader()->tasks(*query);
    if (!records) return responder.answer(problem(records.error()));
    responder.answer(json_reply(200, tasks_view(*records, query->limit, [&](const TaskRecord& record) {
                                  return progress_of(parts_, record);
                                })));
  }

  // One page of ended tasks at a time, like the list.
  void retry_many(const Request& request, const Responder& responder) const {
    const auto query = read_task_query(query_of(request));
    if (!query) return responder.answer(problem(query.error()));
    const bool ended_badly =
        query->state == TaskState::failed || query->state == TaskState::cancelled || query->state == TaskState::expired;
    if (!ended_badly) {
      return responder.answer(problem(Error{"`state` must be failed, cancelled or expired", ErrorKind::invalid}));
    }
    const auto records = parts_.store.reader()->tasks(*query);
    if (!records) return responder.answer(problem(records.error()));
    std::vector<TaskId> ids;
    for (const auto& record : *records) ids.push_back(record.id);
    const std::string next = ids.size() == query->limit ? ids.back().str() : std::string();
    ask<Loop::Retried>(
        responder, [&](auto answer) { parts_.loop.retry_many(std::move(ids), answer); },
        [responder, next](const Result<Loop::Retried>& retried) {
          responder.answer(retried ? json_reply(202, retried_view(*retried, next)) : problem(retried.error()));
        });
  }

  void cancel(const Request& request, const Responder& responder) const {
    act(request, responder, [&](TaskId id, auto answer) { parts_.loop.cancel(id, answer); });
  }
  void retry(const Request& request, const Responder& responder) const {
    act(request, responder, [&](TaskId id, auto answer) { parts_.loop.retry(id, answer); });
  }

 private:
  static void submit_checked(const Parts& parts, const std::string& submitter, protocol::Submission submission,
                             const Responder& responder) {
    ask_quick<Acceptance>(
        responder,
        [&](auto answer) {
          parts.loop.submit(submitter, {std::move(submission.spec), submission.idempotency_key}, answer);
        },
        [](const Acceptance& accepted) {
          return located(202, acceptance_view(accepted), "/api/v1/tasks/" + accepted.id.str());
        });
  }

  template <typename Act>
  void act(const Request& request, const Responder& responder, Act act) const {
    const auto id = seen_task(parts_, request, responder);
    if (!id) return;
    ask_quick<TaskState>(
        responder, [&](auto answer) { act(*id, answer); },
        [id = *id](TaskState state) { return accepted_object("id", id.str(), to_string(state)); });
  }

  // From the loop, which has the reason for waiting; from the store, if the task has just ended.
  static void answer_unfinished(const Parts& parts, const TaskId& id, const Responder& responder) {
    responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
    const auto view = [parts, id](const State& state, Now now) {
      const auto found = state.tasks.find(id);
      // An outcome is read from the store only: here it may not be durable yet.
      if (found == state.tasks.end() || ended(found->second.record.state)) return std::string();
      const Task& task = found->second;
      return task_view(task.record,
                       {explain_task(state, task, now.mono), ahead(state, task), progress_of(parts, task.record)});
    };
    look<std::string>(parts.loop, responder, view, [parts, id, responder](const Result<std::string>& seen) {
      if (!seen) return responder.answer(problem(seen.error()));
      if (!seen->empty()) return responder.answer(json_reply(200, *seen));
      const auto record = parts.store.reader()->task(id);
      if (!record) return responder.answer(problem(record.error()));
      responder.answer(*record ? json_reply(200, task_view(**record)) : problem(no_such_task(id)));
    });
  }

  static std::optional<TaskProgress> progress_of(const Parts& parts, const TaskRecord& record) {
    if (ended(record.state) || record.attempts.empty() || ended(record.attempts.back().state)) return std::nullopt;
    return parts.hub.progress(record.id, record.attempts.back().agent, record.attempts.back().n);
  }

  Parts parts_;
};

}  // namespace

void add_task_routes(Routes& routes, const Parts& parts) {
  const auto with = [&](void (TaskHandlers::*method)(const Request&, const Responder&) const) {
    return http_server::Handler(
        [handlers = TaskHandlers(parts), method](const Request& request, const Responder& responder) {
          (handlers.*method)(request, responder);
        });
  };
  // clang-format off
  routes.push_back({"POST", "/api/v1/tasks", "submitTask", "Submit a task", "submit", with(&TaskHandlers::submit), false, false, body_around(parts.max_task_bytes)});
  routes.push_back({"GET", "/api/v1/tasks", "listTasks", "List tasks, newest first", "submit", with(&TaskHandlers::list)});
  routes.push_back({"POST", "/api/v1/tasks/retry", "retryTasks", "Retry a page of ended tasks", "operate", with(&TaskHandlers::retry_many)});
  routes.push_back({"GET", "/api/v1/tasks/{id}", "getTask", "One task; waits for its outcome on request", "submit", with(&TaskHandlers::get)});
  routes.push_back({"POST", "/api/v1/tasks/{id}/cancel", "cancelTask", "Cancel a task", "submit", with(&TaskHandlers::cancel)});
  routes.push_back({"POST", "/api/v1/tasks/{id}/retry", "retryTask", "Retry an ended task", "submit", with(&TaskHandlers::retry)});
  // clang-format on
}

}  // namespace edgefleet::coordinator
