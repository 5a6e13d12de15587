#include "coordinator/shell/stream_hub.hpp"

#include <thread>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

namespace {

const TaskId task{Ulid{1, 1}};
const TaskId other{Ulid{1, 2}};

protocol::StreamMessage message(const TaskId& id, std::uint64_t at, std::string text, const char* channel = "content") {
  protocol::StreamMessage made;
  made.id = id;
  made.at = at;
  made.delta = std::move(text);
  made.channel = channel;
  return made;
}

}  // namespace

TEST_CASE("a listener hears its task's parts, in order, and nobody else's") {
  StreamHub hub;
  CHECK_FALSE(hub.anybody());
  StreamHub::Listener first(hub, task);
  StreamHub::Listener second(hub, task);
  StreamHub::Listener third(hub, other);
  hub.publish(*AgentName::parse("pi-1"), message(task, 0, "a"));
  hub.publish(*AgentName::parse("pi-1"), message(task, 1, "b", "reasoning"));
  hub.publish(*AgentName::parse("pi-1"), message(task, 1, "for people", ""));
  const auto heard = first.wait_until(monotonic_now());
  REQUIRE(heard.parts.size() == 2);
  CHECK(heard.parts[0].text == "a");
  CHECK(heard.parts[1].reasoning);
  CHECK(heard.parts[0].agent.str() == "pi-1");
  CHECK_FALSE(heard.ended);
  CHECK(second.wait_until(monotonic_now()).parts.size() == 2);
  CHECK(third.wait_until(monotonic_now()).parts.empty());
}

TEST_CASE("a listener is woken by a part, by the end, and by the end of the program") {
  StreamHub hub;
  StreamHub::Listener listener(hub, task);
  const auto woken_by = [&](const std::function<void()>& what) {
    std::jthread waker(what);
    return listener.wait_until(monotonic_now() + 20s);
  };
  CHECK(woken_by([&] { hub.publish({}, message(task, 0, "x")); }).parts.size() == 1);
  CHECK(woken_by([&] { hub.ended(task); }).ended);
  StreamHub::Listener late(hub, other);
  std::jthread waker([&] { hub.stop(); });
  CHECK(late.wait_until(monotonic_now() + 20s).stopped);
}

TEST_CASE("a listener that is far behind gets nothing more") {
  StreamHub hub;
  StreamHub::Listener slow(hub, task);
  const std::string piece(64 * 1024, 'x');
  for (std::uint64_t i = 0; i < 8; ++i) hub.publish({}, message(task, i * piece.size(), piece));
  const auto heard = slow.wait_until(monotonic_now());
  CHECK(heard.parts.size() == StreamHub::most_behind / piece.size());
  hub.publish({}, message(task, 0, "more"));
  hub.ended(task);
  const auto rest = slow.wait_until(monotonic_now());
  CHECK(rest.parts.empty());
  CHECK(rest.ended);
}
