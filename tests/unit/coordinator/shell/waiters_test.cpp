#include "coordinator/shell/waiters.hpp"

#include <optional>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const Ulid one{1, 1};
const Ulid other{1, 2};

}  // namespace

TEST_CASE("each waiter for an outcome is called once, and no other") {
  Waiters waiters;
  int first = 0;
  int second = 0;
  int third = 0;
  const Waiters::Ticket a(waiters, one, [&] { ++first; });
  const Waiters::Ticket b(waiters, one, [&] { ++second; });
  const Waiters::Ticket c(waiters, other, [&] { ++third; });
  waiters.notify(one);
  waiters.notify(one);
  CHECK((first == 1 && second == 1 && third == 0));
}

TEST_CASE("a waiter is not called after its ticket is destroyed") {
  Waiters waiters;
  int calls = 0;
  {
    const Waiters::Ticket ticket(waiters, one, [&] { ++calls; });
  }
  waiters.notify(one);
  CHECK(calls == 0);
}

TEST_CASE("the end of the program ends every wait, also those that begin later") {
  Waiters waiters;
  int calls = 0;
  const Waiters::Ticket early(waiters, one, [&] { ++calls; });
  waiters.stop();
  CHECK(calls == 1);
  const Waiters::Ticket late(waiters, other, [&] { ++calls; });
  CHECK(calls == 2);
}

TEST_CASE("a callback may end other tickets") {
  Waiters waiters;
  std::optional<Waiters::Ticket> ticket;
  bool called = false;
  const Waiters::Ticket first(waiters, one, [&] { ticket.reset(); });
  ticket.emplace(waiters, other, [&] { called = true; });
  waiters.notify(one);
  waiters.notify(other);
  CHECK_FALSE(called);
}
