// The names under which states are stored and sent, and other values with a text.
#include <cerrno>

#include "common/core/agent.hpp"
#include "common/core/artifact_id.hpp"
#include "common/core/error_text.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/core/time.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace std::chrono_literals;

namespace {

// Checks all values of an enumeration: each has a unique name, which is parsed back.
template <typename Enum, typename Parse>
void check_words(Enum last, Parse parse) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto value = static_cast<Enum>(i);
    INFO(to_string(value));
    CHECK(parse(to_string(value)) == value);
  }
  CHECK_FALSE(parse("").has_value());
  CHECK_FALSE(parse("Succeeded").has_value());
  CHECK_FALSE(parse("no state").has_value());
}

}  // namespace

TEST_CASE("each state has a name that is parsed back as the same state") {
  check_words(TaskState::expired, parse_task_state);
  check_words(AttemptState::lost, parse_attempt_state);
  check_words(ResultStatus::returned, parse_result_status);
  check_words(AgentState::lost, parse_agent_state);
  check_words(HeatPolicy::paused, parse_heat_policy);
}

TEST_CASE("the id of an artifact is a digest in lower case, never a path") {
  const std::string digits(64, 'a');
  CHECK(valid_artifact_id("sha256-" + digits));
  CHECK_FALSE(valid_artifact_id("sha256-" + std::string(64, 'A')));
  CHECK_FALSE(valid_artifact_id("sha256-" + std::string(63, 'a')));
  CHECK_FALSE(valid_artifact_id("sha256-" + digits + "a"));
  CHECK_FALSE(valid_artifact_id("sha512-" + digits));
  CHECK_FALSE(valid_artifact_id("sha256-../" + std::string(61, 'a')));
  CHECK_FALSE(valid_artifact_id(""));
}

TEST_CASE("a duration is shown in seconds if that is exact, else in milliseconds") {
  CHECK(exact_duration(3s) == "3 s");
  CHECK(exact_duration(1500ms) == "1500 ms");
  CHECK(exact_duration(0s) == "0 s");
}

TEST_CASE("a context is prepended to the message of an error, whose kind is unchanged") {
  const Error error = Error{"no such file", ErrorKind::not_found}.context("reading a.toml");
  CHECK(error.message == "reading a.toml: no such file");
  CHECK(error.kind == ErrorKind::not_found);
}

TEST_CASE("an errno has a text") { CHECK(error_text(ENOENT) == "No such file or directory"); }
