// The figures of docs/architecture.md are those of the code.
#include <chrono>
#include <fstream>
#include <regex>
#include <string>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"
#include "common/http_server/bounds.hpp"
#include "common/http_server/parser.hpp"
#include "common/http_server/pool.hpp"
#include "common/http_server/responder.hpp"
#include "common/http_server/route.hpp"
#include "common/mqtt/session.hpp"
#include "common/protocol/call_lines.hpp"
#include "common/protocol/json.hpp"
#include "common/protocol/schema.hpp"
#include "common/runtime/configuration.hpp"
#include "common/runtime/log.hpp"
#include "common/runtime/toml_depth.hpp"
#include "coordinator/core/state.hpp"
#include "coordinator/http/bounded_place.hpp"
#include "coordinator/http/llm/dialects/bounds.hpp"
#include "coordinator/shell/parameter_rules.hpp"
#include "coordinator/shell/stream_hub.hpp"
#include "coordinator/store/artifacts/artifacts.hpp"
#include "coordinator/store/data/disk_space.hpp"
#include "coordinator/store/port.hpp"
#include "edge-agent/core/state.hpp"
#include "edge-agent/executors/process/supervisor.hpp"
#include "edge-agent/shell/executor_set.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;

namespace {

// In one line, so that it does not matter where a sentence is wrapped.
std::string page() {
  std::ifstream file(EDGEFLEET_SOURCE_DIR "/docs/architecture.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return std::regex_replace(text, std::regex("\\s+"), " ");
}

// 1000000: "1,000,000"
std::string number(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t end = text.size(); end > 3; end -= 3) text.insert(end - 3, ",");
  return text;
}
std::string kib(std::size_t bytes) { return number(bytes >> 10U) + " KiB"; }
std::string mib(std::size_t bytes) { return number(bytes >> 20U) + " MiB"; }
std::string seconds(Duration duration) {
  return number(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count())) + " s";
}

void says(const std::string& sentence) {
  static const std::string text = page();
  INFO(sentence);
  CHECK(text.find(sentence) != std::string::npos);
}

}  // namespace

TEST_CASE("the bounds in docs/architecture.md are those of the code") {
  const coordinator::Policy policy;
  const agent::Policy agents;
  says("| unfinished tasks; their inputs and the errors of their attempts | " + number(policy.most_tasks) + "; " +
       mib(policy.most_bytes) + " (");
  says("| different `where` of unfinished tasks; of one client | " + number(policy.most_conditions) + "; " +
       number(policy.most_conditions_of_one) + " | 429 |");
  says("as many as are free of " + number(policy.most_tasks) + ", " + mib(policy.most_bytes) + ", " +
       number(policy.most_file_bytes >> 30U) + " GiB (`--artifact-quota-mb`)");
  CHECK(policy.most_file_bytes == coordinator::Artifacts::Bounds{}.total_bytes);
  says("| clients without a task whose last turn is remembered | " + number(coordinator::Clients::most_idle) + " |");
  says("(security.md#tokens-a-day)); " + number(coordinator::Budgets::most_days) + ", " +
       number(coordinator::Budgets::most_clients) + " |");
  says("| input, output of a task in a message | " + kib(limits::input_bytes) + " |");
  says("| input, output of a task | " + mib(policy.max_task_bytes) + " (`--max-task-mb`, at most " +
       std::to_string(limits::most_task_bytes >> 20U) + ") |");
  says("| artifacts that an input, an output in a file names | " + number(limits::text_artifacts) + " |");
  const auto rate = [](double burst, Duration spacing) {
    return number(static_cast<std::uint64_t>(burst)) + " changes at once and one each " + seconds(spacing);
  };
  says("; of all of them | 64 KiB, " + rate(policy.info_burst, policy.info_spacing) + ";");
  says("an agent's info as it sends it | " + rate(agents.info_burst, agents.info_spacing) + " |");
  CHECK(agents.info_burst < policy.info_burst);
  says("| message | " + number(limits::message_elements) + " elements, " + kib(limits::payload_bytes) + " |");
  says("| descriptions of inputs: one; of all agents; asked for at a time; of a capability that are checked | " +
       kib(protocol::most_schema_bytes) + "; " + mib(policy.most_parameter_bytes) + "; " +
       number(policy.most_parameters_asked) + "; " + number(coordinator::ParameterRules::most_checked) + " |");
  says("| messages in flight; waiting | " + number(mqtt::Session::window) + ", or what the broker allows; " +
       number(mqtt::Session::most_waiting) + " |");
  says("| agents | " + number(policy.most_agents) + " |");
  says("| configuration file; parts of a key in it; levels of a value | " + mib(Configuration::most_file_bytes) + "; " +
       number(most_key_parts) + "; " + number(most_toml_levels) + " |");
  says("| old versions of executors that still end | " + number(agent::ExecutorSet::most_ending) + " |");
  says("| held by an agent | " + number(static_cast<std::uint64_t>(agents.max_tasks)) + " tasks, " +
       number(agents.most_waiting) + " waiting for one executor, " + number(agents.most_results) + " results |");
  using log::Complaints;
  says("| lines of the log about peers of one kind | " + number(Complaints::crowd_burst) + " in " +
       seconds(Complaints::window) + ", " + number(Complaints::burst) + " for one peer |");
  says("| start of a command; end of its processes | " + seconds(agent::start_patience) + "; " +
       seconds(agent::sweep_patience + 2 * agent::orphan_patience) + " after its SIGKILL |");
}

TEST_CASE("the bounds of the model endpoints in docs/architecture.md are those of the code") {
  namespace llm = coordinator::llm;
  says("| choices of a model request; its tasks at a time; its results | " + number(llm::most_choices) + "; " +
       number(llm::most_at_once) + "; " + mib(llm::most_answer_bytes) + " |");
  says("| stream of a task in a channel; all streams; tool calls of an answer | " + mib(llm::most_streamed_bytes) +
       "; " + mib(coordinator::StreamHub::most_kept) + "; " + number(protocol::most_tool_calls) + " |");
  says("| embeddings inputs; of one task | " + number(llm::most_inputs) + "; " + number(llm::most_inputs_of_task) +
       " or " + kib(llm::most_bytes_of_task) + " |");
}

TEST_CASE("what is kept in the coordinator's store according to docs/architecture.md is what the code keeps") {
  const coordinator::Retention retention;
  const auto days = std::chrono::duration_cast<std::chrono::hours>(retention.keep).count() / 24;
  says("| tasks with an outcome; their texts | " + number(retention.most) + ", " + std::to_string(days) + " days; " +
       mib(retention.bytes) + " (");
  says("| disk space kept free | " + mib(coordinator::DiskSpace::usual) + ", at most a tenth of the file system (");
}

TEST_CASE("the times in docs/architecture.md are those of the code") {
  using coordinator::Placement;
  const coordinator::Policy policy;
  says("The limit is " + seconds(policy.retry.first) +
       " after the first failure and doubles with each further one, up "
       "to " +
       seconds(policy.retry.most) + ".");
  says("silent for three heartbeats (" + seconds(policy.silence) + ")");
  CHECK(heartbeats_missed_until_lost == 3);
  says("moves away from a lost agent after " + seconds(policy.shortest_grace) +
       "; one that has run longer, after a tenth of its run time, at most " + seconds(policy.longest_grace) + ".");
  CHECK(policy.grace_share == Approx(0.1));
  says("waits there for more than " + seconds(policy.recall_after) + " is recalled");
  says("to finish within " + number(static_cast<std::uint64_t>(Placement::prefetch_horizon_ns / 1e6)) +
       " ms: at most " + std::to_string(Placement::most_prefetched) + ",");
  says("is given none for five minutes");
  CHECK(policy.unreachable_for == std::chrono::minutes(5));
}

TEST_CASE("the bounds of HTTP in docs/architecture.md are those of the code") {
  const http_server::Bounds bounds;
  says("| HTTP connections; from one address; waiting for an answer; of one access | " + number(bounds.connections) +
       " (`--max-connections`); " + number(bounds.connections_a_peer) + ", loopback excepted; 7 of 8; " +
       number(coordinator::WaitBound::usual_of_one) + " (`--max-waiting-per-access`) |");
  says("| head of an HTTP request | " + kib(http_server::most_head) + ", " + seconds(bounds.head) + " |");
  says("| body of a batch; of another request | " + mib(http_server::most_body) + "; " + mib(http_server::small_body) +
       " and the input of its task, " + mib(coordinator::llm::most_list_bytes) + " for a list of prompts or inputs |");
  says("| elements or members of a JSON value that is taken apart; names of its members | " + number(json::most_parts) +
       "; " + mib(json::most_name_bytes) + " |");
  says("| bodies being read | " + mib(http_server::most_body) + " each, " + mib(bounds.all_bodies) + " and " +
       number(bounds.body_readers) + " together, " + seconds(bounds.body) + " and a second for each " +
       kib(bounds.slowest_body) + " |");
  says("| a body that is late, if others need its place | " + seconds(bounds.late_body) + " behind " +
       kib(bounds.slowest_body) + " per second |");
  says("| bodies of one address, loopback excepted | " + number(bounds.body_readers_a_peer) + "; " +
       mib(bounds.bodies_a_peer) + " |");
  says("| answers not yet read by their clients; of one address, loopback excepted | " + mib(bounds.all_replies) +
       "; " + mib(bounds.replies_a_peer) + "; an answer of " + kib(http_server::small_reply) +
       " or less is always sent | 503; a stream that is more than " + kib(http_server::small_reply) +
       " behind is cut |");
  const std::string part =
      number(http_server::Pool::part_of(bounds.pool_threads)) + " of " + number(bounds.pool_threads);
  says("| threads of the HTTP pool for uploads; for files that are sent | " + part + "; " + part + " |");
  says("| TLS handshake | " + seconds(bounds.handshake) + " |");
  says("| idle HTTP connection; a client that takes nothing of its answer | " + seconds(bounds.idle) + "; " +
       seconds(bounds.write) + " |");
  says("| stream ahead of its reader | " + kib(http_server::Stream::most_behind) + " for " + seconds(bounds.catch_up) +
       "; " + mib(http_server::Stream::most_burst) + ", or its largest piece |");
}
