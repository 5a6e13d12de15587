// /api/v1/batches
#include <algorithm>

#include "common/core/fnv.hpp"
#include "common/protocol/json.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/permits.hpp"
#include "coordinator/http/requests.hpp"
#include "coordinator/shell/texts.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {
namespace {

// Too large, or forbidden, if that is all that is wrong.
Reply bad_elements(const std::vector<std::pair<std::size_t, Error>>& wrong) {
  const ErrorKind first = wrong.front().second.kind;
  const bool alike = (first == ErrorKind::too_large || first == ErrorKind::forbidden) &&
                     std::ranges::all_of(wrong, [&](const auto& one) { return one.second.kind == first; });
  auto reply = problem(Error{"nothing was accepted: " + std::to_string(wrong.size()) +
                                 " of the batch's tasks are not valid, the first is number " +
                                 std::to_string(wrong.front().first) + ": " + wrong.front().second.message,
                             alike ? first : ErrorKind::invalid});
  reply.body.pop_back();
  reply.body += ",\"errors\":";
  {
    json::ArrayWriter errors(reply.body);
    for (const auto& [index, error] : wrong) {
      json::ObjectWriter element(errors.next());
      element.unsigned_integer("index", index);
      element.string("detail", error.message);
    }
  }
  reply.body += '}';
  return reply;
}

// Distinguishes a repeated batch from another one with the same key; not used for security.
std::string fingerprint_of(const std::string& body) {
  return std::to_string(body.size()) + "-" + std::to_string(fnv1a(body));
}

void submit_checked(const Parts& parts, BatchRequest batch, const std::string& submitter,
                    const std::string& fingerprint, const Responder& responder) {
  ask<BatchAcceptance>(
      responder,
      [&](auto answer) {
        parts.loop.submit_batch(submitter, std::move(batch.tasks), batch.idempotency_key, fingerprint, answer);
      },
      [responder](const Result<BatchAcceptance>& accepted) {
        responder.answer(accepted
                             ? located(202, batch_acceptance_view(*accepted), "/api/v1/batches/" + accepted->id.str())
                             : problem(accepted.error()));
      });
}

void submit(const Parts& parts, const Request& request, const Responder& responder) {
  auto batch = read_batch(request.body, parts.max_task_bytes,
                          [&](const TaskSpec& spec) { return check_task(parts, request.principal, spec); });
  if (!batch) return responder.answer(problem(batch.error()));
  if (!batch->wrong.empty()) return responder.answer(bad_elements(batch->wrong));
  const auto& key = batch->idempotency_key;
  const auto fingerprint = key.empty() ? std::string() : fingerprint_of(request.body);
  const auto large = std::ranges::any_of(batch->tasks, [](const auto& one) { return has_large_input(one.spec); });
  const std::string submitter = submitter_of(request.principal);
  if (!large) return submit_checked(parts, std::move(*batch), submitter, fingerprint, responder);
  const auto kept = std::make_shared<BatchRequest>(std::move(*batch));
  responder.run_upload(
      [parts, kept, submitter, fingerprint, who = uploader_of(request.principal), share = request.share, responder] {
        for (auto& one : kept->tasks) {
          if (auto good = keep_large_input(parts.artifacts, one.spec, who); !good)
            return responder.answer(problem(good.error().context("`input`")));
        }
        submit_checked(parts, std::move(*kept), submitter, fingerprint, responder);
      });
}

// No value: the batch has not ended, and `over` is false.
std::optional<Reply> view_of(const Parts& parts, const http_server::Principal& caller, const BatchId& id, bool over) {
  const auto reader = parts.store.reader();
  auto record = reader->batch(id);
  if (!record) return problem(record.error());
  if (!*record || !may_see(caller, (**record).submitter))
    return problem(Error{"batch " + id.str() + " is not known", ErrorKind::not_found});
  auto counts = reader->batch_counts(**record);
  if (!counts) return problem(counts.error());
  std::size_t rest = 0;
  for (std::size_t i = 0; i < counts->size(); ++i) rest += ended(static_cast<TaskState>(i)) ? 0 : counts->at(i);
  if (rest > 0 && !over) return std::nullopt;
  return json_reply(200, batch_view(**record, *counts));
}

void get(const Parts& parts, const Request& request, const Responder& responder) {
  const auto id = id_in<BatchId>(request, responder, "batch");
  if (!id) return;
  const auto wait = read_wait([&](const std::string& name) { return request.parameter(name); });
  if (!wait) return responder.answer(problem(wait.error()));
  Poll poll;
  poll.finished = [parts, caller = request.principal, id = *id] { return view_of(parts, caller, id, false); };
  poll.otherwise = [parts, caller = request.principal, id = *id](const Responder& r) {
    r.answer(*view_of(parts, caller, id, true));
  };
  wait_for(parts, request.principal, *id, *wait, responder, std::move(poll));
}

}  // namespace

void add_batch_routes(Routes& routes, const Parts& parts) {
  const auto with = [&](auto handler) {
    return http_server::Handler(
        [parts, handler](const Request& request, const Responder& responder) { handler(parts, request, responder); });
  };
  routes.push_back({"POST", "/api/v1/batches", "submitBatch", "Submit up to 10,000 tasks", "submit", with(submit),
                    false, false, http_server::most_body});
  routes.push_back({"GET", "/api/v1/batches/{id}", "getBatch", "Counts of one batch; waits for its end on request",
                    "submit", with(get)});
}

}  // namespace edgefleet::coordinator
