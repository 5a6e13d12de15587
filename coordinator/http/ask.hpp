// How a handler asks the loop, without a thread that waits for its answer.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "common/http_server/responder.hpp"
#include "coordinator/http/reply.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// Less than our clients wait for an answer, or nobody would ever read what we say then.
constexpr Duration loop_patience = std::chrono::seconds(25);

inline Error no_answer_in_time() {
  return {
      "no answer from the coordinator's loop in time; whether the request took effect is not known: repeat it "
      "(with an idempotency key), or look",
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

// As ask(), where the answer needs no more than a quick view of it: made on the loop's own thread.
template <typename T, typename Start, typename View>
void ask_quick(const http_server::Responder& responder, Start start, View view) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  start(Loop::Answer<T>(
      [responder, view](Result<T> answer) { responder.answer(answer ? view(*answer) : problem(answer.error())); }));
}

// `view(state, now)` runs on the loop's thread: it must be quick. `then` gets what it made, on the pool.
template <typename T, typename View>
void look(Loop& loop, const http_server::Responder& responder, View view, std::function<void(Result<T>)> then) {
  const Status asked = loop.look([view, responder, then](const State& state, Now now) {
    responder.run([then, seen = view(state, now)]() mutable { then(std::move(seen)); });
  });
  if (!asked) then(asked.error());
}

}  // namespace edgefleet::coordinator
