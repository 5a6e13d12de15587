#include "coordinator/http/llm/task/sent_calls.hpp"

#include <rapidcheck.h>

#include <algorithm>

#include "common/core/utf8.hpp"
#include "coordinator/http/llm/dialects/bounds.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::llm;
using protocol::CallLine;
using protocol::ToolCall;

namespace {

JsonText begin_of(const std::string& id, const std::string& name, const std::string& more = "") {
  return R"({"id":")" + id + R"(","type":"function","function":{"name":")" + name + R"(","arguments":""})" + more + "}";
}

std::string begins(std::size_t index, const std::string& id, const std::string& name) {
  return protocol::encode(CallLine{index, begin_of(id, name), {}});
}

std::string continues(std::size_t index, const std::string& arguments) {
  return protocol::encode(CallLine{index, {}, arguments});
}

ToolCall whole(const std::string& id, const std::string& name, const std::string& arguments,
               const std::string& more = "") {
  return {begin_of(id, name, more), name, arguments};
}

// A client: it puts together what it is sent.
class Client {
 public:
  // The whole stream of an attempt, or its continuation, in parts of `size` bytes. False: it differs.
  bool hear(int attempt, const std::string& text, std::size_t size = std::string::npos) {
    for (std::size_t at = 0; at < text.size(); at += std::min(size, text.size())) {
      if (!put(sent_.add(part(attempt, at, text.substr(at, size))))) return false;
    }
    return true;
  }
  bool hear_at(int attempt, std::uint64_t at, const std::string& text) {
    return put(sent_.add(part(attempt, at, text)));
  }
  bool end(const std::vector<ToolCall>& calls) { return put(sent_.complete(calls)); }
  // id, name and arguments of each call
  [[nodiscard]] std::vector<std::string> calls() const {
    std::vector<std::string> all;
    for (const ToolCall& call : calls_) all.push_back(call.call.substr(7, 1) + call.name + call.arguments);
    return all;
  }
  [[nodiscard]] std::vector<std::string> added() const { return added_; }
  [[nodiscard]] std::size_t pieces() const { return pieces_; }

 private:
  static Part part(int attempt, std::uint64_t at, std::string text) {
    return {AgentName{}, attempt, Channel::tool_calls, at, std::move(text)};
  }
  bool put(const std::optional<SentCalls::Lines>& lines) {
    for (const CallLine& line : lines.value_or(SentCalls::Lines{})) {
      ++pieces_;
      if (line.index == calls_.size()) {
        calls_.push_back(*protocol::read_tool_call(line.call));
      } else if (!line.call.empty()) {
        added_.push_back(line.call);
      }
      calls_.at(line.index).arguments += line.arguments;
    }
    return lines.has_value();
  }

  SentCalls sent_;
  std::vector<ToolCall> calls_;
  std::vector<std::string> added_;
  std::size_t pieces_ = 0;
};

using Calls = std::vector<std::string>;

const std::string stream =
    begins(0, "a", "f") + continues(0, "{\"x\"") + continues(0, ":1}") + begins(1, "b", "g") + continues(1, "{}");

}  // namespace

TEST_CASE("calls are sent piece by piece, wherever their bytes are cut") {
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, stream.size()}) {
    Client client;
    CHECK(client.hear(1, stream, size));
    CHECK(client.calls() == Calls{"af{\"x\":1}", "bg{}"});
    CHECK(client.pieces() == 5);
    CHECK(client.hear(1, stream, size));  // a repetition adds nothing
    CHECK(client.end({whole("a", "f", "{\"x\":1}"), whole("b", "g", "{}")}));
    CHECK(client.pieces() == 5);
  }
}

TEST_CASE("lost pieces of calls come with the result, and so does a call that has no arguments") {
  const std::string head = begins(0, "a", "f");
  Client client;
  CHECK(client.hear_at(1, 0, head));
  CHECK(client.hear_at(1, head.size() + 1, continues(0, "lost before it")));
  CHECK(client.calls() == Calls{"af"});
  CHECK(client.end({whole("a", "f", "{}"), whole("b", "g", "{\"y\":2}")}));
  CHECK(client.calls() == Calls{"af{}", "bg{\"y\":2}"});
}

TEST_CASE("another attempt continues a call that is the same, however it is split, under the id that was sent") {
  Client client;
  CHECK(client.hear(1, begins(0, "a", "f") + continues(0, "{\"x\"") + continues(0, ":")));
  CHECK(client.hear(2, begins(0, "z", "f") + continues(0, "{")));
  CHECK(client.hear_at(1, 9999, "of an attempt that has been replaced"));
  CHECK(client.calls() == Calls{"af{\"x\":"});
  CHECK(client.hear(3, begins(0, "y", "f") + continues(0, "{\"x\":1") + continues(0, "}") + begins(1, "w", "g")));
  CHECK(client.calls() == Calls{"af{\"x\":1}", "wg"});
  CHECK(client.end({whole("y", "f", "{\"x\":1}"), whole("w", "g", "{}")}));
  CHECK(client.calls() == Calls{"af{\"x\":1}", "wg{}"});
}

TEST_CASE("another attempt that makes another call does not continue the one that was sent") {
  const auto client = [] {
    Client made;
    CHECK(made.hear(1, begins(0, "a", "f") + continues(0, "{\"x\":")));
    return made;
  };
  CHECK_FALSE(client().hear(2, begins(0, "a", "g")));
  CHECK_FALSE(client().hear(2, begins(0, "a", "f") + continues(0, "{\"y")));
}

TEST_CASE("a result that differs from the sent calls does not complete the answer") {
  const auto ends = [](const std::vector<ToolCall>& calls) {
    Client client;
    CHECK(client.hear(1, begins(0, "a", "f") + continues(0, "{\"x\":")));
    return client.end(calls);
  };
  CHECK(ends({whole("a", "f", "{\"x\":1}")}));
  CHECK_FALSE(ends({}));
  CHECK_FALSE(ends({whole("a", "g", "{\"x\":1}")}));
  CHECK_FALSE(ends({whole("a", "f", "{\"y\":1}")}));
  CHECK_FALSE(ends({whole("a", "f", "{\"x\"")}));
}

TEST_CASE("members that a call got after it began follow at the end") {
  Client client;
  CHECK(client.hear(1, begins(0, "a", "f") + continues(0, "{}")));
  CHECK(client.end({whole("a", "f", "{}", R"(,"extra_content":{"z":1})"), whole("b", "g", "{}", R"(,"own":1)")}));
  CHECK(client.added() == Calls{R"({"extra_content":{"z":1}})"});
}

TEST_CASE("what cannot be read ends the stream of its attempt; the result and another attempt are sent") {
  for (const std::string& bad : {std::string("x\n"), continues(1, "{"), begins(2, "a", "f"),
                                 std::string(R"({"index":1,"call":{"id":"a"}})"
                                             "\n"),
                                 std::string(limits::payload_bytes + 1, 'x') + "\n"}) {
    INFO(bad.substr(0, 40));
    Client client;
    CHECK(client.hear(1, begins(0, "a", "f") + continues(0, "{") + bad + continues(0, "\"x\":1}")));
    CHECK(client.calls() == Calls{"af{"});
    Client taken_over = client;
    CHECK(client.end({whole("a", "f", "{\"x\":1}")}));
    CHECK(client.calls() == Calls{"af{\"x\":1}"});
    CHECK(taken_over.hear(2, begins(0, "a", "f") + continues(0, "{\"x\":1}")));
    CHECK(taken_over.calls() == Calls{"af{\"x\":1}"});
  }
}

TEST_CASE("calls without end take a bounded part of the memory; the rest comes with the result") {
  SentCalls sent;
  const std::string piece = continues(0, std::string(100'000, 'x'));
  std::size_t bytes = 0;
  std::uint64_t at = 0;
  const auto hear = [&](const std::string& text) {
    const auto lines = sent.add({AgentName{}, 1, Channel::tool_calls, at, text});
    at += text.size();
    REQUIRE(lines);
    for (const auto& line : *lines) bytes += line.arguments.size();
  };
  hear(begins(0, "a", "f"));
  while (at < 2 * most_streamed_bytes) hear(piece);
  CHECK(bytes > most_streamed_bytes / 2);
  CHECK(bytes <= most_streamed_bytes);
  CHECK(sent.complete({whole("a", "f", std::string(bytes, 'x') + "y")})->at(0).arguments == "y");
}

TEST_CASE("a client has each call once and whole, whatever is lost, cut, repeated or done again") {
  CHECK(rc::check([](const std::vector<std::string>& texts) {
    std::vector<ToolCall> calls;
    for (const std::string& text : texts) {
      calls.push_back(whole("a", "f" + std::to_string(calls.size()), "{" + valid_utf8(text)));
    }
    Client client;
    for (int attempt = 1; attempt <= 3; ++attempt) {
      std::string lines;
      std::size_t index = 0;
      for (const ToolCall& call : calls) {
        lines += begins(index, std::to_string(attempt), call.name);
        std::string_view rest = call.arguments;
        while (!rest.empty()) {
          const auto next = cut_front(rest, *rc::gen::inRange<std::size_t>(4, 20));
          lines += continues(index, std::string(next));
          rest.remove_prefix(next.size());
        }
        ++index;
      }
      lines.resize(*rc::gen::inRange<std::size_t>(0, lines.size() + 1));  // where the attempt is lost
      for (std::size_t at = 0; at < lines.size();) {
        const auto size = *rc::gen::inRange<std::size_t>(1, 40);
        if (*rc::gen::inRange(0, 20) > 0) RC_ASSERT(client.hear_at(attempt, at, lines.substr(at, size)));
        at += size - *rc::gen::inRange<std::size_t>(0, size);
      }
    }
    RC_ASSERT(client.end(calls));
    Calls expected;
    for (const ToolCall& call : calls) expected.push_back(call.name + call.arguments);
    Calls got = client.calls();
    for (std::string& one : got) one.erase(0, 1);
    RC_ASSERT(got == expected);
  }));
}
