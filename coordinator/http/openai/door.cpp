#include "coordinator/http/openai/door.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>

#include "coordinator/http/ask.hpp"
#include "coordinator/http/bounded_place.hpp"
#include "coordinator/http/openai/beginnings.hpp"
#include "coordinator/http/openai/told.hpp"
#include "coordinator/http/openai/wire.hpp"

namespace edgefleet::coordinator::openai {
namespace {

constexpr std::size_t most_open = 256;  // requests at the same time: each holds a thread
constexpr Duration keep_alive = std::chrono::seconds(10);
constexpr Duration look_at_peer = std::chrono::milliseconds(500);  // whether the client is still there
constexpr Duration look_at_fleet = std::chrono::seconds(2);  // whether a model of a chain is still there
constexpr Duration attempt_timeout = std::chrono::minutes(30);

HttpReply reply_with(const Failure& failure) {
  auto reply = json_reply(failure.status, failure_view(failure));
  if (failure.status == 429 || failure.status == 503) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}
HttpReply reply_with(const Error& error) { return reply_with(failure_of(error)); }

struct Submitted {
  TaskId id;
  std::shared_ptr<StreamHub::Listener> listener;
};

class Door : public std::enable_shared_from_this<Door> {
 public:
  Door(Loop& loop, Store& store, StreamHub& hub, Aliases aliases)
      : loop_(loop), store_(store), hub_(hub), aliases_(std::move(aliases)) {}

  HttpReply models() {
    auto offered = offered_models();
    if (!offered) return reply_with(offered.error());
    for (const auto& [alias, chain] : aliases_) offered->push_back({alias, "alias"});
    return json_reply(200, models_view(*offered, wall_now().unix_ms / 1000));
  }

  HttpReply model(const std::string& name) {
    auto offered = offered_models();
    if (!offered) return reply_with(offered.error());
    const std::int64_t now = wall_now().unix_ms / 1000;
    if (aliases_.count(name) > 0) return json_reply(200, model_view({name, "alias"}, now));
    for (const Offered& one : *offered) {
      if (one.model == name || one.owner + "/" + one.model == name) return json_reply(200, model_view(one, now));
    }
    return reply_with(Error{"no agent offers the model \"" + name.substr(0, 200) + "\"", ErrorKind::not_found});
  }

  // Clients read errors of this API only in its own shape.
  static HttpReply nothing_here(const std::string& path) {
    return json_reply(404, failure_view({404, "invalid_request_error", "unknown_url",
                                         "there is nothing at " + path.substr(0, 200) +
                                             "; there are /v1/models, /v1/chat/completions, /v1/completions and "
                                             "/v1/embeddings"}));
  }

  HttpReply answer(Endpoint endpoint, const HttpRequest& request) {
    auto place = std::make_shared<BoundedPlace>(open_, most_open);
    if (!place->granted()) {
      return reply_with(
          Error{std::to_string(most_open) + " requests are open already; try again later", ErrorKind::busy});
    }
    auto question = read_question(endpoint, request.body);
    if (!question) return reply_with(question.error());
    auto chain = models_for(*question);
    if (!chain) return reply_with(chain.error());
    auto submitted = submit(*question, chain->front());
    if (!submitted) return reply_with(submitted.error());
    auto talk = std::make_shared<Talk>(Talk{*question, std::move(*chain), std::move(*submitted)});
    if (!question->stream) return whole(*talk, request);
    HttpReply reply{200, {}, "text/event-stream", {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}, {}, {}};
    // The place and we ourselves live as long as the stream.
    reply.stream = [self = shared_from_this(), talk, place](const HttpReply::Send& send, const HttpReply::Gone& gone) {
      self->stream(*talk, send, gone);
    };
    return reply;
  }

 private:
  // One request on its way: the models that may still be tried, and the task of the present one.
  struct Talk {
    Question question;
    std::vector<std::string> chain;
    Submitted task;
    std::size_t at = 0;
    Time look_again{};
  };

  // What its client was told of the answer so far.
  struct Telling {
    Told told;
    std::set<std::pair<int, AgentName>> trusted;  // attempts with their agents
    Envelope envelope;
  };

  // ---- models

  Result<std::vector<Offered>> offered_models() {
    return look<std::vector<Offered>>(loop_, [](const State& state, Now) {
      std::map<std::string, std::string> all;
      for (const Agent& agent : state.agents) {
        const bool there = agent.status.state != AgentState::lost && agent.status.state != AgentState::offline;
        if (!there || !agent.info) continue;
        for (const ExecutorInfo& executor : agent.info->executors) {
          for (const auto& model : executor.models) all.emplace(model, executor.provider);
        }
      }
      std::vector<Offered> offered;
      for (const auto& [model, owner] : all) offered.push_back({model, owner.empty() ? "edgefleet" : owner});
      return offered;
    });
  }

  // In the order in which they are to be tried: of an alias first those that somebody can take at once.
  Result<std::vector<std::string>> models_for(const Question& question) {
    const auto alias = aliases_.find(question.model);
    const auto wanted = alias == aliases_.end() ? std::vector{question.model} : alias->second;
    struct Standing {
      bool offered = false;
      bool free = false;
      std::string problem;  // those that have it cannot serve it
    };
    auto standings = look<std::vector<Standing>>(
        loop_, [wanted, capability = capability_of(question.endpoint)](const State& state, Now) {
          std::vector<Standing> all;
          for (const auto& model : wanted) {
            const auto why = explain(state, capability, {{"model", model}});
            const bool offered = why.eligible > 0;
            all.push_back({offered, offered && why.waiting.empty(), offered || why.meeting == 0 ? "" : why.waiting});
          }
          return all;
        });
    if (!standings) return standings.error();
    std::vector<std::string> chain;
    for (const bool free : {true, false}) {
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (standings->at(i).offered && standings->at(i).free == free) chain.push_back(wanted[i]);
      }
    }
    if (!chain.empty()) return chain;
    for (const Standing& one : *standings) {
      if (one.problem.empty()) continue;
      return Error{"the model \"" + question.model.substr(0, 200) + "\" cannot be used now: " + one.problem,
                   ErrorKind::unavailable};
    }
    return not_offered(question);
  }

  Error not_offered(const Question& question) {
    std::string message = "no agent offers the model \"" + question.model.substr(0, 200) + "\" for " +
                          capability_of(question.endpoint).str();
    if (const auto offered = offered_models(); offered && !offered->empty()) {
      message += "; there are";
      for (std::size_t i = 0; i < std::min<std::size_t>(offered->size(), 20); ++i) {
        message += (i == 0 ? " " : ", ") + offered->at(i).model;
      }
    }
    return Error{message, ErrorKind::not_found};
  }

  // ---- the task

  Result<Submitted> submit(const Question& question, const std::string& model) {
    TaskSpec spec;
    spec.capability = capability_of(question.endpoint);
    Json body = question.body;
    body["model"] = model;
    spec.input = dump(body);
    if (spec.input.size() > limits::input_bytes) {
      return Error{"the request has " + std::to_string(spec.input.size()) + " bytes, a task's input at most " +
                       std::to_string(limits::input_bytes),
                   ErrorKind::too_large};
    }
    spec.where = {{"model", model}};
    spec.timeout = attempt_timeout;
    return ask<Submitted>([&](const Loop::Answer<Submitted>& answer) {
      // The listener is there before the first word can be.
      loop_.submit(std::string(Loop::present_client), {std::move(spec), {}, beginnings_of(body)},
                   [answer, hub = &hub_](Result<Acceptance> accepted) {
                     if (!accepted) return answer(accepted.error());
                     answer(Submitted{accepted->id, std::make_shared<StreamHub::Listener>(*hub, accepted->id)});
                   });
    });
  }

  void cancel(const TaskId& id) {
    loop_.cancel(id, [](const Result<TaskState>&) {});  // it may have ended meanwhile
  }

  // Nothing was told yet and the model is out of reach: the next one of the chain.
  bool try_next(Talk& talk, const TaskRecord& record) {
    const bool hopeless = record.error && !record.error->retryable;
    if (record.state == TaskState::cancelled || hopeless || talk.at + 1 >= talk.chain.size()) return false;
    return try_model(talk, talk.at + 1);
  }

  bool try_model(Talk& talk, std::size_t at) {
    auto next = submit(talk.question, talk.chain[at]);
    if (!next) return false;
    talk.at = at;
    talk.task = std::move(*next);
    return true;
  }

  // Nothing was told yet, and the task waits for a model that nobody can serve any more: the next one of the chain that
  // somebody can. A task by itself would wait until its agent comes back.
  bool leave_lost(Talk& talk) {
    if (talk.at + 1 >= talk.chain.size() || monotonic_now() < talk.look_again) return false;
    talk.look_again = monotonic_now() + look_at_fleet;
    const auto next = look<std::size_t>(
        loop_, [id = talk.task.id, chain = talk.chain, at = talk.at](const State& state, Now) -> std::size_t {
          const auto task = state.tasks.find(id);
          if (task == state.tasks.end() || task->second.record.state != TaskState::queued) return chain.size();
          const TaskSpec& spec = task->second.record.spec;
          if (explain(state, spec.capability, spec.where).eligible > 0) return chain.size();
          for (std::size_t other = at + 1; other < chain.size(); ++other) {
            if (explain(state, spec.capability, {{"model", chain[other]}}).eligible > 0) return other;
          }
          return chain.size();
        });
    if (!next || *next >= talk.chain.size()) return false;
    const TaskId left = talk.task.id;
    if (!try_model(talk, *next)) return false;
    cancel(left);
    return true;
  }

  Result<TaskRecord> outcome(const TaskId& id) {
    auto record = store_.reader()->task(id);
    if (!record) return record.error();
    if (!*record) return Error{"task " + id.str() + " is gone", ErrorKind::internal};
    return std::move(**record);
  }

  // ---- an answer in one piece

  HttpReply whole(Talk& talk, const HttpRequest& request) {
    for (;;) {
      const auto heard = talk.task.listener->wait_until(monotonic_now() + look_at_peer);
      if (heard.stopped) return reply_with(Error{"the coordinator is being stopped", ErrorKind::unavailable});
      if (!heard.ended) {
        if (!request.gone()) {
          (void)leave_lost(talk);
          continue;
        }
        cancel(talk.task.id);
        return reply_with(Error{"the client has gone", ErrorKind::unavailable});
      }
      const auto record = outcome(talk.task.id);
      if (!record) return reply_with(record.error());
      if (record->state == TaskState::succeeded) {
        const auto envelope = envelope_of(talk.question, talk.task.id, wall_now());
        return json_reply(200, answer_view(envelope, *record, talk.question.base64));
      }
      if (!try_next(talk, *record)) return reply_with(failure_of(*record));
    }
  }

  // ---- an answer as it grows

  void stream(Talk& talk, const HttpReply::Send& send, const HttpReply::Gone& gone) {
    Telling telling{{}, {}, envelope_of(talk.question, talk.task.id, wall_now())};
    if (talk.question.endpoint == Endpoint::chat && !send(role_event(telling.envelope))) return cancel(talk.task.id);
    Time quiet_since = monotonic_now();
    for (;;) {
      const auto heard = talk.task.listener->wait_until(monotonic_now() + look_at_peer);
      std::string more;
      if (!tell(telling, talk.task.id, heard.parts, more)) {
        cancel(talk.task.id);
        (void)send(more + failure_event(disagreement(talk.task.id)));
        return;
      }
      if (heard.ended) {
        const auto record = outcome(talk.task.id);
        const bool failed = record && record->state != TaskState::succeeded;
        if (failed && !telling.told.anything() && try_next(talk, *record)) {
          telling = {{}, {}, telling.envelope};  // another task, with attempts of its own
          continue;
        }
        (void)send(more + ending(talk, telling, record));
        return;
      }
      if (heard.stopped) {
        const Error stopping{"the coordinator is being stopped", ErrorKind::unavailable};
        (void)send(more + failure_event(failure_of(stopping)));
        return;
      }
      if (!telling.told.anything() && leave_lost(talk)) telling = {{}, {}, telling.envelope};
      if (more.empty() && monotonic_now() - quiet_since > keep_alive) more = comment_event(why_silent(talk.task.id));
      if (!more.empty()) quiet_since = monotonic_now();
      const bool there = more.empty() ? !gone() : send(more);
      if (!there) return cancel(talk.task.id);
    }
  }

  std::string why_silent(const TaskId& id) {
    const auto why = look<std::string>(loop_, [id](const State& state, Now now) {
      const auto task = state.tasks.find(id);
      return task == state.tasks.end() ? std::string() : explain_task(state, task->second, now.mono);
    });
    return why && !why->empty() ? *why : "the model reads, or is being loaded";
  }

  // The events of what is new; false: somebody else says something else.
  bool tell(Telling& telling, const TaskId& id, const std::vector<Part>& parts, std::string& events) {
    for (const Part& part : parts) {
      if (!trusts(telling.trusted, id, part)) continue;
      const auto text = telling.told.hear(part);
      if (!text) return false;
      if (!text->empty()) events += text_event(telling.envelope, *text, part.reasoning);
    }
    return true;
  }

  // Only the agent that was given an attempt speaks for it.
  bool trusts(std::set<std::pair<int, AgentName>>& trusted, const TaskId& id, const Part& part) {
    if (trusted.count({part.attempt, part.agent}) > 0) return true;
    const auto given = look<bool>(loop_, [id, attempt = part.attempt, agent = part.agent](const State& state, Now) {
      const auto found = state.tasks.find(id);
      if (found == state.tasks.end()) return false;
      const auto& attempts = found->second.record.attempts;
      return std::any_of(attempts.begin(), attempts.end(),
                         [&](const Attempt& one) { return one.n == attempt && one.agent == agent; });
    });
    if (!given || !*given) return false;
    trusted.emplace(part.attempt, part.agent);
    return true;
  }

  static Failure disagreement(const TaskId& id) {
    return {502, "server_error", "answer_changed",
            "the agent that had begun this answer was lost, and the one that took over says something else; ask again "
            "(task " +
                id.str() + ")"};
  }

  static std::string ending(const Talk& talk, Telling& telling, const Result<TaskRecord>& record) {
    const Envelope& envelope = telling.envelope;
    if (!record) return failure_event(failure_of(record.error()));
    if (record->state != TaskState::succeeded) return failure_event(failure_of(*record));
    const Json output = output_of(*record);
    const Json& choice = choice_of(output);
    std::string events;
    for (const bool reasoning : {true, false}) {
      const auto rest = telling.told.complete(reasoning, text_of(choice, talk.question.endpoint, reasoning));
      if (!rest) return failure_event(disagreement(talk.task.id));
      if (!rest->empty()) events += text_event(envelope, *rest, reasoning);
    }
    if (choice.is_object() && choice.contains("message") && choice["message"].contains("tool_calls")) {
      events += tool_calls_event(envelope, choice["message"]["tool_calls"]);
    }
    events += finish_event(envelope, choice);
    if (talk.question.include_usage) events += usage_event(envelope, *record);
    return events + done_event;
  }

  Loop& loop_;
  Store& store_;
  StreamHub& hub_;
  const Aliases aliases_;
  std::atomic<std::size_t> open_{0};
};

}  // namespace

void add_door(HttpServer& server, Loop& loop, Store& store, StreamHub& hub, Aliases aliases) {
  const auto door = std::make_shared<Door>(loop, store, hub, std::move(aliases));
  for (const std::string root : {"/v1", "/openai/v1"}) {
    server.get(root + "/models", [door](const HttpRequest&) { return door->models(); });
    server.get(root + "/models/(.+)",
               [door](const HttpRequest& request) { return door->model(request.captures.at(0)); });
    server.post(root + "/chat/completions",
                [door](const HttpRequest& request) { return door->answer(Endpoint::chat, request); });
    server.post(root + "/completions",
                [door](const HttpRequest& request) { return door->answer(Endpoint::completions, request); });
    server.post(root + "/embeddings",
                [door](const HttpRequest& request) { return door->answer(Endpoint::embeddings, request); });
    const auto nothing = [root](const HttpRequest& request) {
      return Door::nothing_here(root + "/" + request.captures.at(0));
    };
    server.get(root + "/(.*)", nothing);
    server.post(root + "/(.*)", nothing);
  }
}

}  // namespace edgefleet::coordinator::openai
