#include "common/core/ids.hpp"
#include "common/core/backoff.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace std::chrono_literals;

TEST_CASE("names are lower case words of at most 63 characters") {
  for (const char* good : {"a", "pi-1", "0", "a-b-c"}) CHECK(AgentName::parse(good));
  for (const char* bad : {"", "-a", "a-", "A", "a_b", "a.b", "a/b", "a+", "#", "ä"}) CHECK_FALSE(AgentName::parse(bad));
  CHECK(AgentName::parse(std::string(63, 'x')));
  CHECK_FALSE(AgentName::parse(std::string(64, 'x')));
}

TEST_CASE("capabilities are words joined by dots") {
  for (const char* good : {"echo", "image.blur", "command.disk-usage", "a.b.c"}) CHECK(Capability::parse(good));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "A", "a/b", "a+b", "#"}) CHECK_FALSE(Capability::parse(bad));
}

TEST_CASE("a ULID is equal to the one parsed from its text") {
  const Ulid id{0x0123456789ABCDEF, 0xFEDCBA9876543210};
  CHECK(id.str().size() == 26);
  CHECK(Ulid::parse(id.str()) == id);
  CHECK_FALSE(Ulid::parse("8ZZZZZZZZZZZZZZZZZZZZZZZZZ"));  // more than 128 bits
  CHECK_FALSE(Ulid::parse("01ARZ3NDEKTSV4RRFFQ69G5FA"));
  CHECK_FALSE(Ulid::parse("01ARZ3NDEKTSV4RRFFQ69G5FAu"));
}

TEST_CASE("ids grow strictly, also if the clock stops or jumps back") {
  UlidSource source(1);
  Ulid last = source.next(WallTime{1000});
  for (const std::int64_t ms : {1000, 1000, 500, 1001, 0, 2000}) {
    const Ulid next = source.next(WallTime{ms});
    CHECK(last < next);
    CHECK(last.str() < next.str());
    last = next;
  }
}

TEST_CASE("a backoff that begins with minutes grows to its longest pause too") {
  const Backoff backoff{std::chrono::minutes(1), std::chrono::hours(1)};
  CHECK(backoff.ceiling(1) == std::chrono::minutes(1));
  CHECK(backoff.ceiling(2) == std::chrono::minutes(2));
  for (int failures = 7; failures < 100; ++failures) CHECK(backoff.ceiling(failures) == std::chrono::hours(1));
}

TEST_CASE("backoff doubles to its cap, with full jitter") {
  const Backoff backoff;
  CHECK(backoff.ceiling(1) == 1s);
  CHECK(backoff.ceiling(3) == 4s);
  CHECK(backoff.ceiling(100) == 60s);
  CHECK(backoff.pause(1, 0) == 0s);
  CHECK(backoff.pause(1, ~0ULL) <= 1s);
}
