// Names of functions that come in pieces. The other shapes of calls are in streams_test.cpp.
#include "edge-agent/executors/llm/tool_calls.hpp"

#include <chrono>

#include "edge-agent/executors/llm/json_value.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

struct Told {
  std::string calls;  // "name(arguments)" each
  std::vector<std::string> names;  // of the calls that were told, in their order
};

// `pieces`: the members of each.
Told told(const std::vector<std::string>& pieces, CallForm form = CallForm::pieces) {
  ToolCalls calls({"call", {}, {"f", "get", "get_time", "get_weather", "reread"}});
  Told told;
  for (const auto& piece : pieces) {
    REQUIRE(calls.add("{" + piece + "}", form));
    calls.tell([&](const protocol::CallLine& line) {
      if (!line.call.empty()) told.names.push_back(Json::parse(line.call)["function"]["name"]);
    });
  }
  for (const Json& call : Json::parse(calls.list())) {
    CHECK_FALSE(call["id"].get<std::string>().empty());
    const Json& function = call["function"];
    told.calls += function["name"].get<std::string>() + "(" + function["arguments"].get<std::string>() + ")";
  }
  return told;
}

std::string numbered(int index, const std::string& function) {
  return R"("index":)" + std::to_string(index) + R"(,"function":{)" + function + "}";
}
std::string named(const std::string& name, const std::string& more = "", int index = 0) {
  return numbered(index, R"("name":")" + name + "\"" + more);
}
std::string with_id(const std::string& id, const std::string& piece) { return R"("id":")" + id + "\"," + piece; }

const std::string arguments = numbered(0, R"("arguments":"{}")");
const std::string other_arguments = numbered(1, R"("arguments":"[]")");
const std::string empty = R"(,"arguments":"")";
const std::string whole = R"(,"arguments":"{}")";

}  // namespace

TEST_CASE("two names are one if a function of the request begins with it, else two calls") {
  struct Row {
    const char* what;
    std::vector<std::string> pieces;
    const char* calls;
  };
  const std::vector<Row> rows = {
      {"two pieces", {with_id("a", named("get_", empty)), named("weather"), arguments}, "get_weather({})"},
      {"three pieces", {named("get"), named("_wea"), named("ther"), arguments}, "get_weather({})"},
      {"the last one with arguments", {with_id("a", named("get_")), named("weather", whole)}, "get_weather({})"},
      {"the same id", {with_id("a", named("get_")), with_id("a", named("time")), arguments}, "get_time({})"},
      {"a late id", {named("get_"), with_id("a", named("time")), arguments}, "get_time({})"},
      {"the whole name so far",
       {with_id("a", named("get_")), with_id("a", named("get_time")), arguments},
       "get_time({})"},
      {"the whole name so far, a name itself",
       {with_id("a", named("get")), with_id("a", named("get_time"))},
       "get_time({})"},
      {"a piece that begins as the name so far", {named("re"), named("read"), arguments}, "reread({})"},
      {"the name again", {with_id("a", named("get_time")), named("get_time"), arguments}, "get_time({})"},
      {"two functions", {named("get_time"), named("get_weather")}, "get_time({})get_weather({})"},
      {"two functions, one the beginning of the other",
       {named("get"), named("get_time", whole)},
       "get({})get_time({})"},
      {"two functions, of which only the second one has an id",
       {named("get"), with_id("b", named("get_time", whole))},
       "get({})get_time({})"},
      {"an id of its own", {with_id("a", named("get")), with_id("b", named("_time"))}, "get({})_time({})"},
      {"arguments between them", {named("get", whole), named("_time", whole)}, "get({})_time({})"},
      {"two at once, told apart by their indexes",
       {with_id("a", named("get")), with_id("b", named("get", "", 1)), named("_time"), named("_weather", "", 1),
        arguments, other_arguments},
       "get_time({})get_weather([])"},
      {"two at once, told apart by their ids",
       {with_id("a", named("get")), with_id("b", named("get")), with_id("a", named("_time")),
        with_id("b", named("_weather"))},
       "get_time({})get_weather({})"},
      {"two at once without ids",
       {named("get"), named("get", "", 1), named("_time"), named("_weather", "", 1), other_arguments},
       "get_time({})get_weather([])"},
      {"two functions, of which only the first one has an id: a call of its own would have one",
       {with_id("a", named("get")), named("get_time", whole)},
       "get_time({})"},
      {"a function that is not offered", {named("set_"), named("time")}, "set_({})time({})"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(told(row.pieces).calls == row.calls);
  }
}

TEST_CASE("a call is told once its name cannot go on") {
  using Names = std::vector<std::string>;
  CHECK(told({named("get_weather")}).names == Names{"get_weather"});
  CHECK(told({named("get_")}).names.empty());
  CHECK(told({named("get")}).names.empty());
  CHECK(told({named("get"), arguments}).names == Names{"get"});
  CHECK(told({named("get"), named("_time")}).names == Names{"get_time"});
  CHECK(told({named("get"), named("f")}).names == Names{"get", "f"});
  // The first one may go on, by its index or its id.
  CHECK(told({named("get"), named("f", "", 1)}).names.empty());
  CHECK(told({with_id("a", named("get")), with_id("b", named("f"))}).names.empty());
  CHECK(told({named("get"), named("f", "", 1), arguments}).names == Names{"get", "f"});
  CHECK(told({named("get")}, CallForm::whole).calls == "get({})");
}

TEST_CASE("a name with every piece begins another call once the arguments are complete") {
  const auto piece = [](const std::string& text) { return named("f", ",\"arguments\":" + Json(text).dump()); };
  CHECK(told({piece(R"({"a":"}\"{)"), piece(R"(","b":[{}]})"), piece(" {}")}).calls ==
        R"(f({"a":"}\"{","b":[{}]})f( {}))");
  CHECK(told({piece("{]}"), piece("{}")}).calls == "f({]}{})");
  CHECK(told({piece("[{}]"), piece("{}")}).calls == "f([{}]{})");
  CHECK(told({piece("{} x"), piece("{}")}).calls == "f({} x{})");
}

TEST_CASE("long arguments with the name in every piece do not cost quadratic time") {
  ToolCalls calls;
  REQUIRE(calls.add("{" + named("f", R"(,"arguments":"{\"x\":\"")") + "}"));
  const std::string piece = "{" + named("f", R"(,"arguments":")" + std::string(2000, 'y') + "}\"") + "}";
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 2000; ++i) REQUIRE(calls.add(piece));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(3));
}
