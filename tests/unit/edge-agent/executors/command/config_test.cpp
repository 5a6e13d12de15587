#include "edge-agent/executors/command/config.hpp"

#include <chrono>

#include "common/protocol/schema.hpp"
#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

using Strings = std::vector<std::string>;

CommandSettings du() {
  CommandSettings settings;
  settings.name = "du";
  settings.argv = {"du", "-sb", "{path}"};
  settings.params["path"] = {};
  return settings;
}

// A command with the one parameter `p`.
CommandConfig with(const ParamSettings& param, const std::string& element = "{p}") {
  CommandSettings settings;
  settings.name = "c";
  settings.argv = {"echo", element};
  if (param.to_stdin) settings.argv.pop_back();
  settings.params["p"] = param;
  auto config = CommandConfig::check(settings);
  INFO((config.ok() ? "" : config.error().message));
  REQUIRE(config.ok());
  return *config;
}

std::string problem_of(const CommandSettings& settings) {
  const auto config = CommandConfig::check(settings);
  return config.ok() ? "" : config.error().message;
}
std::string problem_of(const ParamSettings& param) {
  CommandSettings settings = du();
  settings.params["path"] = param;
  return problem_of(settings);
}

// The one argument, or the error in brackets.
std::string bound(const CommandConfig& config, const std::string& input) {
  const auto invocation = config.bind(input, "/s/in");
  if (!invocation) return "<" + invocation.error().message + ">";
  return invocation->argv.back();
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("a command is an executor and a capability of its own") {
  const auto config = CommandConfig::check(du());
  REQUIRE(config.ok());
  CHECK(config->executor.str() == "command-du");
  CHECK(config->capability.str() == "command.du");
  CHECK(config->program() == "du");
  const auto invocation = config->bind(R"({"path":"/var"})", "/s/in");
  REQUIRE(invocation.ok());
  CHECK(invocation->argv == Strings{"du", "-sb", "/var"});
}

TEST_CASE("the parameters of a command are described, and the description accepts what the command accepts") {
  CommandSettings settings = du();
  settings.argv = {"c", "{path}", "{depth}", "{share}", "{kind}", "{file}", "{loud}"};
  ParamSettings& depth = settings.params["depth"];
  depth.type = "integer";
  depth.min = 1;
  depth.max = 9;
  depth.default_value = std::int64_t{3};
  settings.params["share"].type = "number";
  settings.params["share"].choices = {0.5, 1.0};
  settings.params["kind"].pattern = "[ab]+";
  settings.params["kind"].choices = {std::string("a"), std::string("b")};
  settings.params["file"].type = "artifact";
  settings.params["loud"].type = "boolean";
  settings.params["loud"].default_value = false;
  const auto config = CommandConfig::check(settings);
  REQUIRE(config);
  CHECK(config->parameters() ==
        R"({"type":"object","properties":{"depth":{"type":"integer","default":3,"minimum":1,"maximum":9},)"
        R"("file":{"type":"object","properties":{"artifact":{"type":"string"}},"required":["artifact"]},)"
        R"("kind":{"type":"string","pattern":"[ab]+","enum":["a","b"]},)"
        R"("loud":{"type":"boolean","default":false},)"
        R"("path":{"type":"string","minLength":1,"maxLength":1024},)"
        R"("share":{"type":"number","enum":[0.5,1]}},)"
        R"("required":["file","kind","path","share"],"additionalProperties":false})");
  const auto schema = protocol::Schema::compile(config->parameters());
  REQUIRE(schema);
  const std::string file = R"("file":{"artifact":"sha256-)" + std::string(64, '0') + R"("})";
  const auto both = [&](const std::string& members) {
    const std::string input = "{" + file + "," + members + "}";
    CAPTURE(input);
    const bool bound = config->bind(input, "/s/in").ok();
    CHECK(schema->check(input).ok() == bound);
    return bound;
  };
  CHECK(both(R"("path":"/x","kind":"a","share":0.50)"));
  CHECK(both(R"("path":"/x","kind":"b","share":1,"depth":9,"loud":true)"));
  for (const char* wrong : {R"("path":"","kind":"a","share":1)", R"("path":"/x","kind":"c","share":1)",
                            R"("path":"/x","kind":"a","share":2)", R"("path":"/x","kind":"a","share":1,"depth":10)",
                            R"("path":"/x","kind":"a","share":1,"depth":1.5)",
                            R"("path":"/x","kind":"a","share":1,"dept":1)", R"("path":"/x","kind":"a")",
                            R"("path":7,"kind":"a","share":1)", R"("path":"/x","kind":"a","share":1,"loud":"yes")"}) {
    CHECK_FALSE(both(wrong));
  }
  settings.argv = {"uptime"};
  settings.params.clear();
  const auto nothing = CommandConfig::check(settings);
  CHECK(protocol::Schema::compile(nothing->parameters())->check("null"));
}

TEST_CASE("a number is accepted by the description if the command accepts it") {
  for (const char* type : {"integer", "number"}) {
    ParamSettings param;
    param.type = type;
    for (const double min : {0.0, -1e300}) {
      param.min = min;
      const auto config = with(param);
      const auto schema = protocol::Schema::compile(config.parameters());
      REQUIRE(schema);
      for (const char* number :
           {"0", "-0.0", "1.0", "1e2", "1.5", "-7", "1e-400", "-1e-400", "1e400", "-1e400", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "12345678901234567890123"}) {
        CAPTURE(type, min, number);
        const std::string input = R"({"p":)" + std::string(number) + "}";
        CHECK(schema->check(input).ok() == config.bind(input, "/s/in").ok());
      }
    }
  }
}

TEST_CASE("a placeholder is replaced within its element, which never splits") {
  const auto config = with({}, "--dir={p}/x{{y}}");
  CHECK(bound(config, R"({"p":"a b;c"})") == "--dir=a b;c/x{y}");
  CHECK(bound(config, R"({"p":"{p}"})") == "--dir={p}/x{y}");
  const auto plain = with({});
  CHECK(bound(plain, R"({"p":"; rm -rf /"})") == "; rm -rf /");
  CHECK(bound(plain, R"({"p":"$(x) `y` | z > w"})") == "$(x) `y` | z > w");
}

TEST_CASE("a string without a pattern must not look like an option, be empty, or contain control characters") {
  const auto config = with({});
  CHECK(bound(config, R"({"p":"-rf"})") == "<param \"p\": begins with '-'>");
  CHECK(bound(config, R"({"p":""})") == "<param \"p\": is empty>");
  CHECK(bound(config, R"({"p":"a\nb"})") == "<param \"p\": contains a control character>");
  CHECK(bound(config, R"({"p":"a\u0000b"})") == "<param \"p\": contains a NUL>");
  CHECK(bound(config, "{\"p\":\"" + std::string(1025, 'x') + "\"}") == "<param \"p\": is longer than 1024 bytes>");
  CHECK(bound(config, "{\"p\":\"" + std::string(1024, 'x') + "\"}") == std::string(1024, 'x'));
}

TEST_CASE("a pattern must match the whole string") {
  ParamSettings param;
  param.pattern = "[a-z]+|-v";
  const auto config = with(param);
  CHECK(bound(config, R"({"p":"abc"})") == "abc");
  CHECK(bound(config, R"({"p":"-v"})") == "-v");
  CHECK(bound(config, R"({"p":"abc1"})") == "<param \"p\": does not match the pattern [a-z]+|-v>");
  CHECK(bound(config, R"({"p":"abc\n"})").front() == '<');
  CHECK(bound(config, R"({"p":"1\nabc"})").front() == '<');
  param.pattern = "^[a-z]+$";
  CHECK(bound(with(param), R"({"p":"abc"})") == "abc");
  CHECK(bound(with(param), R"({"p":"abc\n"})").front() == '<');
  param.pattern = "[^x]*";
  CHECK(bound(with(param), R"({"p":"a\u0000b"})") == "<param \"p\": contains a NUL>");
}

TEST_CASE("a hostile text cannot cause unbounded work or overflow the stack") {
  ParamSettings param;
  param.max_length = 4096;
  param.pattern = "(a+)+b";
  const auto begin = std::chrono::steady_clock::now();
  CHECK(bound(with(param), "{\"p\":\"" + std::string(4000, 'a') + "\"}").front() == '<');
  param.pattern = "(a|b|ab)*c";
  CHECK(bound(with(param), "{\"p\":\"" + std::string(4000, 'a') + "\"}").front() == '<');
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  param.pattern = "(?:[a-z]|[0-9])*";
  CHECK(bound(with(param), "{\"p\":\"" + std::string(4000, 'a') + "\"}").size() == 4000);
}

TEST_CASE("integers and numbers have a range, and are not negative by default") {
  ParamSettings param;
  param.type = "integer";
  CHECK(bound(with(param), R"({"p":42})") == "42");
  CHECK(bound(with(param), R"({"p":-1})") == "<param \"p\": is below 0>");
  CHECK(bound(with(param), R"({"p":-0})") == "0");
  CHECK(bound(with(param), R"({"p":1.5})") == "<param \"p\": must be an integer>");
  CHECK(bound(with(param), R"({"p":"42"})") == "<param \"p\": must be an integer>");
  CHECK(bound(with(param), R"({"p":9223372036854775807})") == "9223372036854775807");
  CHECK(bound(with(param), R"({"p":9223372036854775808})") == "<param \"p\": must be an integer>");
  CHECK(bound(with(param), R"({"p":1.0})") == "1");
  CHECK(bound(with(param), R"({"p":1e2})") == "100");
  param.min = -5;
  param.max = 5;
  CHECK(bound(with(param), R"({"p":-5})") == "-5");
  CHECK(bound(with(param), R"({"p":6})") == "<param \"p\": is above 5>");
  param.type = "number";
  CHECK(bound(with(param), R"({"p":0.10})") == "0.10");
  CHECK(bound(with(param), R"({"p":5.01})") == "<param \"p\": is above 5>");
  CHECK(bound(with(param), R"({"p":-0.0})") == "0");
  CHECK(bound(with(param), R"({"p":1e400})") == "<param \"p\": is above 5>");
}

TEST_CASE("choices and booleans are compared as values") {
  ParamSettings param;
  param.choices = {Scalar("fast"), Scalar("--slow")};
  CHECK(bound(with(param), R"({"p":"--slow"})") == "--slow");
  CHECK(bound(with(param), R"({"p":"other"})") == "<param \"p\": must be one of: fast, --slow>");
  param.type = "number";
  param.choices = {Scalar(0.5), Scalar(std::int64_t{3})};
  CHECK(bound(with(param), R"({"p":3.0})") == "3.0");
  CHECK(bound(with(param), R"({"p":4})").front() == '<');
  param = {};
  param.type = "boolean";
  CHECK(bound(with(param), R"({"p":true})") == "true");
  CHECK(bound(with(param), R"({"p":"true"})").front() == '<');
}

TEST_CASE("a missing parameter has its default or is refused, an unknown one is refused") {
  CHECK(bound(with({}), "{}") == "<param \"p\" is missing>");
  CHECK(bound(with({}), R"({"p":"x","q":1})") == "<unknown param \"q\">");
  CHECK(bound(with({}), "[]") == "<the input must be an object of parameters>");
  CHECK(bound(with({}), "{") == "<the input is not JSON>");
  ParamSettings param;
  param.default_value = Scalar("here");
  CHECK(bound(with(param), " null ") == "here");
  CHECK(bound(with(param), "{}") == "here");
  CHECK(bound(with(param), R"({"p":"there"})") == "there");
}

TEST_CASE("an artifact becomes the path of its file") {
  const std::string id = "sha256-" + std::string(64, 'b');
  ParamSettings param;
  param.type = "artifact";
  const auto invocation = with(param, "if={p}").bind(R"({"p":{"artifact":")" + id + "\"}}", "/s/in");
  REQUIRE(invocation.ok());
  CHECK(invocation->argv.back() == "if=/s/in/" + id);
  CHECK(invocation->artifacts == std::set<std::string>{id});
  CHECK(bound(with(param), R"({"p":{"artifact":"../x"}})").front() == '<');
  CHECK(bound(with(param), R"({"p":"x"})").front() == '<');
  param.to_stdin = true;
  const auto piped = with(param).bind(R"({"p":{"artifact":")" + id + "\"}}", "/s/in");
  REQUIRE(piped.ok());
  CHECK(piped->stdin_path == "/s/in/" + id);
}

TEST_CASE("a string that is the standard input may have any content") {
  ParamSettings param;
  param.to_stdin = true;
  const auto invocation = with(param).bind(R"({"p":"-a\nb\u0000"})", "/s/in");
  REQUIRE(invocation.ok());
  CHECK(invocation->stdin_text == std::string("-a\nb\0", 5));
  CHECK(invocation->argv == Strings{"echo"});
  CHECK(with(param).bind("{\"p\":\"" + std::string(200'000, 'x') + "\"}", "/s/in").ok());
}

TEST_CASE("mistakes in the configuration of a command are found when it is read") {
  const auto changed = [](const std::function<void(CommandSettings&)>& change) {
    auto settings = du();
    change(settings);
    return problem_of(settings);
  };
  CHECK(problem_of(du()).empty());
  CHECK(holds(changed([](auto& s) { s.name = "Du"; }), "command 'Du': the name"));
  CHECK(holds(changed([](auto& s) { s.name = ""; }), "the name"));
  CHECK(holds(changed([](auto& s) { s.name = std::string(56, 'x'); }), "the name"));
  CHECK(holds(changed([](auto& s) { s.argv = {}; }), "names no program"));
  CHECK(holds(changed([](auto& s) { s.argv = {"{path}"}; }), "cannot be a parameter"));
  CHECK(holds(changed([](auto& s) { s.argv = {"du", "{other}", "{path}"}; }), "{other}"));
  CHECK(holds(changed([](auto& s) { s.argv = {"awk", "{print $1}"}; }), "write {{ and }}"));
  CHECK(holds(changed([](auto& s) { s.argv = {"du", "{path"}; }), "'{'"));
  CHECK(holds(changed([](auto& s) { s.argv = {"du", "path}"}; }), "'{'"));
  CHECK(holds(changed([](auto& s) { s.argv = {"du"}; }), "not used"));
  CHECK(holds(changed([](auto& s) { s.argv[1] = std::string("a\0b", 3); }), "NUL"));
  CHECK(holds(changed([](auto& s) { s.slots = 0; }), "slots"));
  CHECK(holds(changed([](auto& s) { s.timeout_s = 0; }), "timeout_s"));
  CHECK(holds(changed([](auto& s) { s.output_bytes = 1 << 30; }), "output_bytes"));
  CHECK(holds(changed([](auto& s) { s.artifact_files = -1; }), "artifact_files"));
  CHECK(holds(changed([](auto& s) { s.retry_exit_codes = {0}; }), "retry_exit_codes"));
  CHECK(holds(changed([](auto& s) { s.env["A=B"] = "x"; }), "A=B"));
  CHECK(holds(changed([](auto& s) { s.params["a b"] = {}; }), "param 'a b'"));
}

TEST_CASE("mistakes in the configuration of a parameter are found when it is read") {
  const auto changed = [](const std::string& type, const std::function<void(ParamSettings&)>& change) {
    ParamSettings param;
    param.type = type;
    change(param);
    return problem_of(param);
  };
  CHECK(holds(changed("text", [](auto&) {}), "type 'text'"));
  CHECK(holds(changed("string", [](auto& p) { p.pattern = "(a"; }), "pattern '(a'"));
  CHECK(holds(changed("string", [](auto& p) { p.pattern = std::string(2000, 'a'); }), "longer than 1024"));
  CHECK(holds(changed("integer", [](auto& p) { p.pattern = "a"; }), "for strings only"));
  CHECK(holds(changed("string", [](auto& p) { p.min = 1; }), "for numbers only"));
  CHECK(holds(changed("string", [](auto& p) { p.max_length = 5000; }), "max_length"));
  CHECK(holds(changed("integer", [](auto& p) { p.max = -1; }), "max is below min"));
  CHECK(holds(changed("integer", [](auto& p) { p.default_value = Scalar("x"); }), "default: must be an integer"));
  CHECK(holds(changed("integer", [](auto& p) { p.default_value = Scalar(std::int64_t{-3}); }), "default: is below 0"));
  CHECK(holds(changed("boolean", [](auto& p) { p.choices = {Scalar("x")}; }), "choices"));
  CHECK(holds(changed("artifact", [](auto& p) { p.choices = {Scalar("x")}; }), "neither choices nor a default"));
  CHECK(holds(changed("integer", [](auto& p) { p.to_stdin = true; }), "standard input"));
  CHECK(holds(changed("string", [](auto& p) { p.to_stdin = true; }), "both in argv and the standard input"));
}

}  // namespace
}  // namespace edgefleet::agent
