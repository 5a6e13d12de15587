// How a task enters and leaves the queues of placement, and until when it waits in them.
#pragma once

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {

std::int64_t order_of(const Context& c, int priority);  // its rank, if it is submitted now
void start(Context& c, Task& task, Duration delay);     // it is queued at once, or scheduled if there is a delay
void enter_queue(Context& c, Task& task);
void schedule(Context& c, Task& task, Duration pause);  // it enters the queue after the pause
void leave_queue(Context& c, Task& task);               // also of a scheduled task
void join_queue(State& state, Task& task);  // enters the queues of placement, unless it is held after a restore
void take_out(State& state, Task& task);    // leaves the queues of placement
void set_deadline(State& state, const Task& task);  // of a scheduled or queued task

}  // namespace edgefleet::coordinator
