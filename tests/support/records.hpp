// Tasks for the tests of the store.
#pragma once

#include "coordinator/store/port.hpp"
#include "tests/support/catch.hpp"

namespace edgefleet::test {

using namespace edgefleet::coordinator;

inline TaskRecord record(std::uint64_t number) {
  TaskRecord r;
  r.id = TaskId{Ulid{5, number}};
  r.spec.capability = *Capability::parse("work");
  r.spec.input = R"({"b":1.10,"a":"ü"})";
  r.spec.where = {{"room", "cellar"}};
  r.spec.expires_after = std::chrono::seconds(5);
  r.submitter = "test";
  r.accepted_at = WallTime{1'700'000'000'000};
  r.order = 42;
  return r;
}

inline void save(Store& store, const TaskRecord& r, bool created = true, Duration clock = Duration{0}) {
  Writes writes;
  writes.clock = clock;
  writes.tasks.push_back({&r, r.due_in, r.expires_in, created});
  REQUIRE(store.commit(writes));
}

}  // namespace edgefleet::test
