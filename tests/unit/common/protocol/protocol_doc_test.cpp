#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "common/protocol/call_lines.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/submission.hpp"
#include "common/protocol/topics.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::protocol;

namespace {

std::string page() {
  std::ifstream file(EDGEFLEET_SOURCE_DIR "/docs/protocol.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::map<std::string, std::string> examples() {
  const std::string text = page();
  const std::string marker = "<!-- example: ";
  std::map<std::string, std::string> found;
  for (auto at = text.find(marker); at != std::string::npos; at = text.find(marker, at + 1)) {
    const auto name_begin = at + marker.size();
    const auto json_begin = text.find("```json\n", at) + 8;
    found[text.substr(name_begin, text.find(' ', name_begin) - name_begin)] =
        text.substr(json_begin, text.find("```", json_begin) - json_begin);
  }
  return found;
}

Result<AgentInfo> info_of(const Result<AgentInfoMessage>& read) {
  if (!read) return read.error();
  return read->info;
}

template <typename T>
std::string again(const Result<T>& decoded) {
  return decoded ? encode(*decoded) : decoded.error().message;
}

// The text of such a stream, line by line.
std::string lines_again(const std::string& text) {
  auto message = decode_stream(text);
  if (!message || message->channel != Channel::tool_calls) return "no stream of tool calls";
  std::istringstream lines(std::exchange(message->delta, {}));
  for (std::string line; std::getline(lines, line);) {
    const auto read = decode_call_line(line);
    if (!read || (!read->call.empty() && !read_tool_call(read->call))) return "not a line of a call: " + line;
    message->delta += encode(*read);
  }
  return encode(*message);
}

}  // namespace

TEST_CASE("the codec reads and writes every example in docs/protocol.md") {
  const auto control_again = [](const std::string& t) {
    const auto message = decode_control(t);
    std::size_t first = 0;
    return encode_control(message->reign, message->type, message->tasks.good, first);
  };
  const std::map<std::string, std::function<std::string(const std::string&)>> round_trips{
      {"status", [](const std::string& t) { return again(decode_agent_status(t)); }},
      {"info", [](const std::string& t) { return again(info_of(decode_agent_info(t))); }},
      {"heartbeat", [](const std::string& t) { return again(decode_heartbeat(t)); }},
      {"temperature", [](const std::string& t) { return again(decode_temperature(t)); }},
      {"stream", [](const std::string& t) { return again(decode_stream(t)); }},
      {"stream_of_a_call", lines_again},
      {"parameters",
       [](const std::string& t) {
         const auto message = decode_parameters(t);
         std::size_t first = 0;
         return encode_parameters(message->session, message->parameters.good, first);
       }},
      {"describe",
       [](const std::string& t) {
         const auto message = decode_control(t);
         return encode_describe(message->reign, message->digests);
       }},
      {"coordinator", [](const std::string& t) { return again(decode_coordinator_status(t)); }},
      {"beat", [](const std::string& t) { return again(decode_coordinator_beat(t)); }},
      {"tasks",
       [](const std::string& t) {
         const auto message = decode_tasks(t);
         std::size_t first = 0;
         return encode_tasks(message->reign, message->n, message->max_output_bytes, message->tasks.good, first);
       }},
      {"results",
       [](const std::string& t) {
         const auto message = decode_results(t);
         std::size_t first = 0;
         return encode_results(message->session, message->results.good, first);
       }},
      {"control", control_again},
      {"upload", control_again},
  };
  const auto all = examples();
  for (const auto& [name, round_trip] : round_trips) {
    INFO(name);
    REQUIRE(all.count(name) == 1);
    CHECK(nlohmann::json::parse(round_trip(all.at(name))) == nlohmann::json::parse(all.at(name)));
  }
  REQUIRE(all.count("submit") == 1);
  const auto submission = decode_submission(all.at("submit"));
  REQUIRE(submission);
  CHECK(submission->spec.where.at("room") == "cellar");
  CHECK(all.size() == round_trips.size() + 1);
}

TEST_CASE("the table of topics in docs/protocol.md is the one in the code") {
  const std::string text = page();
  for (const auto& rule : topic_rules()) {
    const std::string row_begin = "| `" + std::string(rule.pattern) + "` | ";
    INFO(row_begin);
    const auto at = text.find(row_begin);
    REQUIRE(at != std::string::npos);
    const std::string row = text.substr(at, text.find('\n', at) - at);
    const std::string end = " | " + std::to_string(rule.qos) + " | " + (rule.retained ? "yes |" : "no |");
    CHECK(row.substr(row.size() - std::min(end.size(), row.size())) == end);
  }
}
