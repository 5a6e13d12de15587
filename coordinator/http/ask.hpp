// Asynchronous requests from a handler to the loop; no thread waits for the answer.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "common/http_server/responder.hpp"
#include "coordinator/http/reply.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// Shorter than the timeout of our clients, so that the client still receives this answer.
constexpr Duration loop_patience = std::chrono::seconds(25);

inline Error no_answer_in_time() {
  return {
      "the coordinator's loop did not answer in time; it is not known whether the request took effect: repeat it "
      "(with an idempotency key), or look up its result",
      ErrorKind::unavailable};
}

// Starts a request to the loop; `then` gets its answer, on the pool. After loop_patience the client gets 503.
template <typename T, typename Start>
void ask(const http_server::Responder& responder, Start start, std::function<void(Result<T>)> then) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  start(Loop::Answer<T>([responder, then = std::move(then)](Result<T> answer) {
    responder.run([then, answer = std::move(answer)]() mutable { then(std::move(answer)); });
  }));
}

// Like ask(), for an answer whose view is quick to build: it is built on the loop's thread.
template <typename T, typename Start, typename View>
void ask_quick(const http_server::Responder& responder, Start start, const View& view) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  start(Loop::Answer<T>(
      [responder, view](Result<T> answer) { responder.answer(answer ? view(*answer) : problem(answer.error())); }));
}

// `view(state, now)` runs on the loop's thread: it must be quick. `then` gets its result, on the pool.
template <typename T, typename View>
void look(Loop& loop, const http_server::Responder& responder, const View& view, std::function<void(Result<T>)> then) {
  const Status asked = loop.look([view, responder, then](const State& state, Now now) {
    responder.run([then, seen = view(state, now)]() mutable { then(std::move(seen)); });
  });
  if (!asked) then(asked.error());
}

}  // namespace edgefleet::coordinator
