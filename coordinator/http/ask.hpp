// How an HTTP thread asks the loop, and waits for its answer.
#pragma once

#include <chrono>
#include <future>
#include <memory>

#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator {

// Less than our clients wait for an answer, or nobody would ever read what we say then.
constexpr auto loop_patience = std::chrono::seconds(25);

// Starts a request to the loop and waits for its answer.
template <typename T, typename Start>
Result<T> ask(Start start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  start(Loop::Answer<T>([promise](Result<T> answer) { promise->set_value(std::move(answer)); }));
  if (future.wait_for(loop_patience) == std::future_status::ready) return future.get();
  return Error{
      "no answer from the coordinator's loop in time; whether the request took effect is not known: repeat it "
      "(with an idempotency key), or look",
      ErrorKind::unavailable};
}

// `view(state, now)` runs on the loop's thread: it must be quick.
template <typename T, typename View>
Result<T> look(Loop& loop, View view) {
  return ask<T>([&](const Loop::Answer<T>& answer) {
    if (!loop.look([view, answer](const State& state, Now now) { answer(view(state, now)); })) {
      answer(Error{"the coordinator is busy; try again in a second", ErrorKind::busy});
    }
  });
}

}  // namespace edgefleet::coordinator
