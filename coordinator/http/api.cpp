#include "coordinator/http/api.hpp"

#include <atomic>
#include <charconv>

#include "common/protocol/json.hpp"
#include "common/protocol/submission.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/http/ask.hpp"
#include "coordinator/http/bounded_place.hpp"
#include "coordinator/http/requests.hpp"
#include "coordinator/http/views.hpp"
#include "coordinator/store/attempts.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t most_long_polls = 256;  // the rest is for everyone else
constexpr std::size_t agents_at_once = 512;  // some three milliseconds of the loop
const std::string submitter = "http";

class Api {
 public:
  Api(Loop& loop, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub)
      : loop_(loop), store_(store), artifacts_(artifacts), waiters_(waiters), hub_(hub) {}

  HttpReply submit(const HttpRequest& request) {
    auto submission = protocol::decode_submission(request.body);
    if (!submission) return problem(submission.error());
    if (auto there = check_artifacts(submission->spec); !there) return problem(there.error());
    auto accepted = ask<Acceptance>([&](auto answer) {
      loop_.submit(submitter, {std::move(submission->spec), submission->idempotency_key}, answer);
    });
    if (!accepted) return problem(accepted.error());
    return located(202, acceptance_view(*accepted), "/api/v1/tasks/" + accepted->id.str());
  }

  HttpReply submit_batch(const HttpRequest& request) {
    auto batch = read_batch(request.body, [this](const TaskSpec& spec) { return check_artifacts(spec); });
    if (!batch) return problem(batch.error());
    if (!batch->wrong.empty()) return bad_elements(batch->wrong);
    const auto& key = batch->idempotency_key;
    const auto fingerprint = key.empty() ? std::string() : fingerprint_of(request.body);
    auto accepted = ask<BatchAcceptance>(
        [&](auto answer) { loop_.submit_batch(submitter, std::move(batch->tasks), key, fingerprint, answer); });
    if (!accepted) return problem(accepted.error());
    return located(202, batch_acceptance_view(*accepted), "/api/v1/batches/" + accepted->id.str());
  }

  HttpReply task(const HttpRequest& request) {
    const auto id = TaskId::parse(request.captures.at(0));
    if (!id) return problem(Error{"\"" + request.captures.at(0) + "\" is not a task's id", ErrorKind::not_found});
    const auto wait = read_wait(request.query);
    if (!wait) return problem(wait.error());
    return when_ended(
        *id, *wait,
        [&](bool) -> std::optional<HttpReply> {
          auto record = store_.reader()->task(*id);
          if (!record) return problem(record.error());
          if (!*record) return problem(Error{"task " + id->str() + " is not known", ErrorKind::not_found});
          if (ended((**record).state)) return json_reply(200, task_view(**record));
          return std::nullopt;
        },
        [&] { return unfinished_task(*id); });
  }

  HttpReply tasks(const HttpRequest& request) {
    const auto query = read_task_query(request.query);
    if (!query) return problem(query.error());
    auto records = store_.reader()->tasks(*query);
    if (!records) return problem(records.error());
    return json_reply(200, tasks_view(*records, query->limit, [this](const auto& record) { return progress(record); }));
  }

  // A page of ended tasks at a time, like the list of them.
  HttpReply retry_many(const HttpRequest& request) {
    const auto query = read_task_query(request.query);
    if (!query) return problem(query.error());
    const bool ended_badly =
        query->state == TaskState::failed || query->state == TaskState::cancelled || query->state == TaskState::expired;
    if (!ended_badly) return problem(Error{"`state` is failed, cancelled or expired", ErrorKind::invalid});
    const auto records = store_.reader()->tasks(*query);
    if (!records) return problem(records.error());
    std::vector<TaskId> ids;
    for (const auto& record : *records) ids.push_back(record.id);
    const bool more = ids.size() == query->limit;
    const auto retried = ask<Loop::Retried>([&](auto answer) { loop_.retry_many(ids, answer); });
    if (!retried) return problem(retried.error());
    return json_reply(202, retried_view(*retried, more ? ids.back().str() : std::string()));
  }

  HttpReply batch(const HttpRequest& request) {
    const auto id = BatchId::parse(request.captures.at(0));
    if (!id) return problem(Error{"\"" + request.captures.at(0) + "\" is not a batch's id", ErrorKind::not_found});
    const auto wait = read_wait(request.query);
    if (!wait) return problem(wait.error());
    const auto view = [&](bool over) -> std::optional<HttpReply> {
      const auto reader = store_.reader();
      auto record = reader->batch(*id);
      if (!record) return problem(record.error());
      if (!*record) return problem(Error{"batch " + id->str() + " is not known", ErrorKind::not_found});
      auto counts = reader->batch_counts(**record);
      if (!counts) return problem(counts.error());
      std::size_t rest = 0;
      for (std::size_t i = 0; i < counts->size(); ++i) rest += ended(static_cast<TaskState>(i)) ? 0 : counts->at(i);
      if (rest > 0 && !over) return std::nullopt;
      return json_reply(200, batch_view(**record, *counts));
    };
    return when_ended(*id, *wait, view, [&] { return *view(true); });
  }

  HttpReply act_on_task(const HttpRequest& request, bool cancel) {
    const auto id = TaskId::parse(request.captures.at(0));
    if (!id) return problem(Error{"\"" + request.captures.at(0) + "\" is not a task's id", ErrorKind::not_found});
    auto state = ask<TaskState>([&](auto answer) { cancel ? loop_.cancel(*id, answer) : loop_.retry(*id, answer); });
    if (!state) return problem(state.error());
    return accepted_object("id", id->str(), to_string(*state));
  }

  HttpReply drain(const HttpRequest& request, bool drain) {
    const auto name = AgentName::parse(request.captures.at(0));
    if (!name) return problem(unknown_agent(request.captures.at(0)));
    auto state = ask<AgentState>([&](auto answer) { loop_.drain(*name, drain, answer); });
    if (!state) return problem(state.error());
    return accepted_object("name", name->str(), to_string(*state));
  }

  HttpReply release(const HttpRequest&) {
    auto released = ask<std::size_t>([&](auto answer) { loop_.release(answer); });
    if (!released) return problem(released.error());
    std::string body;
    {
      json::ObjectWriter object(body);
      object.unsigned_integer("released", *released);
    }
    return json_reply(200, body);
  }

  // In parts, between which the loop does its other work: thousands of agents take it tens of milliseconds. None is
  // missed: agents keep their numbers.
  HttpReply agents(const HttpRequest&) {
    std::string body = R"({"agents":[)";
    AgentsPart part{{}, true};
    for (std::size_t first = 0; part.more; first += agents_at_once) {
      auto seen = coordinator::look<AgentsPart>(
          loop_, [first](const State& state, Now now) { return agents_part(state, now, first, agents_at_once); });
      if (!seen) return problem(seen.error());
      part = std::move(*seen);
      if (first > 0) body += ',';
      body += part.elements;
    }
    return json_reply(200, body + "]}");
  }

  HttpReply agent(const HttpRequest& request) {
    const auto name = AgentName::parse(request.captures.at(0));
    if (!name) return problem(unknown_agent(request.captures.at(0)));
    auto reply = look([name = *name](const State& state, Now now) {
      const auto found = state.agent_index.find(name);
      return found == state.agent_index.end() ? std::string()
                                              : agent_view(state, state.agents[found->second], now, true);
    });
    return reply.status == 200 && reply.body.empty() ? problem(unknown_agent(name->str())) : reply;
  }

  HttpReply queue(const HttpRequest&) {
    return look([](const State& state, Now) { return queue_view(state); });
  }

  HttpReply ready(const HttpRequest&) {
    const bool store = loop_.store_well();
    const bool broker = loop_.broker_up();
    std::string body;
    {
      json::ObjectWriter object(body);
      object.boolean("store", store);
      object.boolean("broker", broker);
      if (loop_.held() > 0) {
        object.unsigned_integer("held", loop_.held());
        object.string("notice", held_notice(loop_.held()));
      }
    }
    return json_reply(store && broker ? 200 : 503, body);
  }

  HttpServer::Upload upload() {
    auto upload = std::shared_ptr<Artifacts::Upload>(artifacts_.upload());
    auto failure = std::make_shared<std::optional<Error>>();
    return {[upload, failure](const char* data, std::size_t bytes) {
              auto written = upload->write(data, bytes);
              if (!written) *failure = written.error();
              return written.ok();
            },
            [upload, failure] {
              if (*failure) return problem(**failure);
              auto stored = upload->finish();
              if (!stored) return problem(stored.error());
              std::string body;
              {
                json::ObjectWriter object(body);
                object.string("id", stored->id);
                object.unsigned_integer("bytes", stored->bytes);
              }
              return located(stored->is_new ? 201 : 200, body, "/api/v1/artifacts/" + stored->id);
            }};
  }

  HttpReply artifact(const HttpRequest& request) {
    auto path = artifacts_.find(request.captures.at(0));
    if (!path) return problem(path.error());
    // Never shown by a browser as a page of ours, whatever somebody has uploaded.
    return {200, {}, "application/octet-stream", {{"X-Content-Type-Options", "nosniff"}}, *path, {}};
  }

 private:
  static HttpReply located(int status, std::string body, std::string location) {
    auto reply = json_reply(status, std::move(body));
    reply.headers.emplace_back("Location", std::move(location));
    return reply;
  }

  static std::string retried_view(const Loop::Retried& retried, const std::string& next) {
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

  static Error unknown_agent(const std::string& name) {
    return Error{"agent " + name.substr(0, 63) + " is not known", ErrorKind::not_found};
  }

  static HttpReply accepted_object(const char* key, const std::string& name, std::string_view state) {
    std::string body;
    {
      json::ObjectWriter object(body);
      object.string(key, name);
      object.string("state", state);
    }
    return json_reply(202, body);
  }

  static HttpReply bad_elements(const std::vector<std::pair<std::size_t, std::string>>& wrong) {
    auto reply = problem(Error{"nothing was accepted: " + std::to_string(wrong.size()) +
                                   " of the batch's tasks are not valid, the first is number " +
                                   std::to_string(wrong.front().first) + ": " + wrong.front().second,
                               ErrorKind::invalid});
    reply.body.pop_back();
    reply.body += ",\"errors\":";
    {
      json::ArrayWriter errors(reply.body);
      for (const auto& [index, detail] : wrong) {
        json::ObjectWriter element(errors.next());
        element.unsigned_integer("index", index);
        element.string("detail", detail);
      }
    }
    reply.body += '}';
    return reply;
  }

  // FNV-1a over the text: tells a repeated batch from another one of the same key; nothing secret hangs on it.
  static std::string fingerprint_of(const std::string& body) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return std::to_string(body.size()) + "-" + std::to_string(hash);
  }

  Status check_artifacts(const TaskSpec& spec) {
    for (const auto& artifact : artifacts_in(spec.input)) {
      if (auto found = artifacts_.find(artifact); !found) return Error{found.error().message, ErrorKind::invalid};
    }
    return success();
  }

  // `finished` looks at the store and returns a reply when there is an outcome; `otherwise` is the reply when the
  // wait is over without one.
  template <typename Finished, typename Otherwise>
  HttpReply when_ended(const Ulid& id, double wait, Finished finished, Otherwise otherwise) {
    if (wait <= 0) {
      auto reply = finished(false);
      return reply ? *reply : otherwise();
    }
    const BoundedPlace place(long_polls_, most_long_polls);
    if (!place.granted()) {
      return problem(Error{std::to_string(most_long_polls) + " requests are waiting already; try again later, or ask "
                                                             "without `wait`",
                           ErrorKind::unavailable});
    }
    Waiters::Ticket ticket(waiters_, id);  // before the look: an outcome in between rings
    if (auto reply = finished(false)) return *reply;
    ticket.wait_until(monotonic_now() + Duration{static_cast<std::int64_t>(wait * 1e9)});
    auto reply = finished(false);
    return reply ? *reply : otherwise();
  }

  // From the loop, which knows why it waits; from the store, if it has ended just now.
  HttpReply unfinished_task(const TaskId& id) {
    auto reply = look([this, id](const State& state, Now now) {
      const auto found = state.tasks.find(id);
      // An outcome is told by the store alone: here it may not be durable yet.
      if (found == state.tasks.end() || ended(found->second.record.state)) return std::string();
      const Task& task = found->second;
      return task_view(task.record, {explain_task(state, task, now.mono), ahead(state, task), progress(task.record)});
    });
    if (reply.status != 200 || !reply.body.empty()) return reply;
    auto record = store_.reader()->task(id);
    if (!record) return problem(record.error());
    if (!*record) return problem(Error{"task " + id.str() + " is not known", ErrorKind::not_found});
    reply.body = task_view(**record);
    return reply;
  }

  std::optional<TaskProgress> progress(const TaskRecord& record) {
    if (ended(record.state) || record.attempts.empty() || ended(record.attempts.back().state)) return std::nullopt;
    return hub_.progress(record.id, record.attempts.back().agent, record.attempts.back().n);
  }

  // What `view` makes of the state, on the loop's thread.
  template <typename View>
  HttpReply look(View view) {
    auto seen = coordinator::look<std::string>(loop_, std::move(view));
    if (!seen) return problem(seen.error());
    return json_reply(200, *seen);
  }

  Loop& loop_;
  Store& store_;
  Artifacts& artifacts_;
  Waiters& waiters_;
  StreamHub& hub_;
  std::atomic<std::size_t> long_polls_{0};
};

}  // namespace

void add_api(HttpServer& server, Loop& loop, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub) {
  const auto api = std::make_shared<Api>(loop, store, artifacts, waiters, hub);
  const auto with = [&](HttpReply (Api::*method)(const HttpRequest&)) {
    return [api, method](const HttpRequest& request) { return (api.get()->*method)(request); };
  };
  const std::string root = "/api/v1";
  const std::string agent_name = "/([^/]+)";
  server.get("/health", [](const HttpRequest&) { return json_reply(200, R"({"status":"ok"})"); });
  server.get("/ready", with(&Api::ready));
  server.post(root + "/tasks", with(&Api::submit));
  server.get(root + "/tasks", with(&Api::tasks));
  server.post(root + "/tasks/retry", with(&Api::retry_many));
  server.get(root + "/tasks/([^/]+)", with(&Api::task));
  server.post(root + "/tasks/([^/]+)/cancel", [api](const HttpRequest& r) { return api->act_on_task(r, true); });
  server.post(root + "/tasks/([^/]+)/retry", [api](const HttpRequest& r) { return api->act_on_task(r, false); });
  server.post(root + "/batches", with(&Api::submit_batch));
  server.get(root + "/batches/([^/]+)", with(&Api::batch));
  server.get(root + "/agents", with(&Api::agents));
  server.get(root + "/agents" + agent_name, with(&Api::agent));
  server.post(root + "/agents" + agent_name + "/drain", [api](const HttpRequest& r) { return api->drain(r, true); });
  server.post(root + "/agents" + agent_name + "/resume", [api](const HttpRequest& r) { return api->drain(r, false); });
  server.get(root + "/queue", with(&Api::queue));
  server.post(root + "/release", with(&Api::release));
  server.put(root + "/artifacts", [api] { return api->upload(); });
  server.get(root + "/artifacts/([^/]+)", with(&Api::artifact));
}

}  // namespace edgefleet::coordinator
