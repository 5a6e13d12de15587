#include "coordinator/shell/stream_hub.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const TaskId task{Ulid{1, 1}};
const TaskId other{Ulid{1, 2}};
const AgentName pi_1 = *AgentName::parse("pi-1");

protocol::StreamMessage message(const TaskId& id, std::uint64_t at, std::string text,
                                Channel channel = Channel::content) {
  protocol::StreamMessage made;
  made.id = id;
  made.at = at;
  made.delta = std::move(text);
  made.channel = channel;
  return made;
}

}  // namespace

TEST_CASE("a listener receives the parts of its task, in order, and no others") {
  StreamHub hub;
  CHECK_FALSE(hub.anybody());
  StreamHub::Listener first(hub, task, [] {});
  StreamHub::Listener second(hub, task, [] {});
  StreamHub::Listener third(hub, other, [] {});
  hub.given(task, 1, pi_1);
  hub.given(other, 1, pi_1);
  hub.publish(pi_1, message(task, 0, "a"));
  hub.publish(pi_1, message(task, 1, "b", Channel::reasoning));
  hub.publish(pi_1, message(task, 1, "for people", Channel::note));
  const auto heard = first.take();
  REQUIRE(heard.parts.size() == 2);
  CHECK(heard.parts[0].text == "a");
  CHECK(heard.parts[1].channel == Channel::reasoning);
  CHECK(heard.parts[0].agent == pi_1);
  CHECK_FALSE(heard.ended);
  CHECK(second.take().parts.size() == 2);
  CHECK(third.take().parts.empty());
}

TEST_CASE("parts of an attempt are accepted only from its agent") {
  StreamHub hub;
  StreamHub::Listener listener(hub, task, [] {});
  const auto pi_2 = *AgentName::parse("pi-2");
  hub.publish(pi_1, message(task, 0, "not given yet"));
  hub.given(task, 1, pi_1);
  hub.publish(pi_2, message(task, 0, "a stranger's"));
  CHECK(listener.take().parts.empty());
  auto successor = message(task, 0, "x");
  successor.attempt = 2;
  hub.publish(pi_2, successor);
  CHECK(listener.take().parts.empty());
  hub.given(task, 2, pi_2);
  hub.publish(pi_2, successor);
  hub.publish(pi_1, message(task, 0, "y"));
  CHECK(listener.take().parts.size() == 2);
}

TEST_CASE("a listener is called once for each take: by a part, by the end, and by the end of the program") {
  StreamHub hub;
  int calls = 0;
  StreamHub::Listener listener(hub, task, [&] { ++calls; });
  hub.given(task, 1, pi_1);
  CHECK(calls == 0);
  hub.publish(pi_1, message(task, 0, "x"));
  hub.publish(pi_1, message(task, 1, "y"));
  CHECK(calls == 1);
  CHECK(listener.take().parts.size() == 1);
  hub.ended(task);
  CHECK(calls == 2);
  CHECK(listener.take().ended);
  hub.stop();
  CHECK(calls == 3);
  CHECK(listener.take().stopped);
  bool told = false;
  const StreamHub::Listener late(hub, other, [&] { told = true; });
  CHECK(told);
}

TEST_CASE("a listener that is far behind receives no more parts") {
  StreamHub hub;
  StreamHub::Listener slow(hub, task, [] {});
  hub.given(task, 1, pi_1);
  const std::string piece(64 * 1024, 'x');
  for (std::uint64_t i = 0; i < 8; ++i) hub.publish(pi_1, message(task, i * piece.size(), piece));
  const auto heard = slow.take();
  REQUIRE(heard.parts.size() == 1);
  CHECK(heard.parts[0].text.size() == StreamHub::most_behind);
  hub.publish(pi_1, message(task, 0, "more"));
  hub.ended(task);
  const auto rest = slow.take();
  CHECK(rest.parts.empty());
  CHECK(rest.ended);
}

TEST_CASE("parts of one byte, or of none, do not exceed the bound on memory") {
  StreamHub hub;
  StreamHub::Listener slow(hub, task, [] {});
  hub.given(task, 1, pi_1);
  for (int i = 0; i < 100'000; ++i) {
    hub.publish(pi_1, message(task, 7, ""));
    hub.publish(pi_1, message(task, 7, "x"));
  }
  CHECK(slow.take().parts.size() <= 1 + StreamHub::most_behind / sizeof(Part));
}

TEST_CASE("progress is kept for tasks that clients query, from the agent of the attempt") {
  StreamHub hub;
  const auto pi_2 = *AgentName::parse("pi-2");
  const auto note = [](const char* text, int attempt = 1) {
    auto made = message(task, 0, text, Channel::note);
    made.attempt = attempt;
    made.percent = 40;
    made.total_bytes = 1000;
    return made;
  };
  hub.publish(pi_1, note("nobody looks"));
  CHECK_FALSE(hub.progress(task, pi_1, 1));
  CHECK(hub.anybody());
  hub.publish(pi_2, note("a stranger's"));
  hub.publish(pi_1, note("of another attempt", 2));
  hub.publish(pi_1, message(other, 0, "of another task", Channel::note));
  hub.publish(pi_1, message(task, 0, "part of the output"));
  CHECK_FALSE(hub.progress(task, pi_1, 1));
  hub.publish(pi_1, note("pulling"));
  const auto progress = hub.progress(task, pi_1, 1);
  REQUIRE(progress);
  CHECK(progress->text == "pulling");
  CHECK(progress->percent == 40);
  CHECK(progress->total_bytes == 1000);
  CHECK_FALSE(progress->completed_bytes);
  // The next attempt begins without the progress of the one before.
  CHECK_FALSE(hub.progress(task, pi_2, 2));
  hub.publish(pi_2, note("again", 2));
  CHECK(hub.progress(task, pi_2, 2)->text == "again");
  hub.ended(task);
  CHECK_FALSE(hub.anybody());
  CHECK_FALSE(hub.progress(task, pi_2, 2));
}

TEST_CASE("the number of watched tasks is bounded") {
  StreamHub hub;
  const auto agent = *AgentName::parse("pi-1");
  const auto id = [](std::uint64_t n) { return TaskId{Ulid{2, n}}; };
  for (std::uint64_t n = 0; n < StreamHub::most_watched; ++n) CHECK_FALSE(hub.progress(id(n), agent, 1));
  CHECK_FALSE(hub.progress(task, agent, 1));
  hub.publish(agent, message(task, 0, "one too many", Channel::note));
  hub.publish(agent, message(id(7), 0, "in time", Channel::note));
  CHECK_FALSE(hub.progress(task, agent, 1));
  CHECK(hub.progress(id(7), agent, 1)->text == "in time");
}

TEST_CASE("streamed text is kept up to a bound for all requests together") {
  StreamHub hub;
  CHECK(hub.keep(StreamHub::most_kept - 10));
  CHECK_FALSE(hub.keep(11));
  CHECK(hub.keep(10));
  CHECK_FALSE(hub.keep(1));
  hub.let_go(10);
  CHECK(hub.keep(10));
}
