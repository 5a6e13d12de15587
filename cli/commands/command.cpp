#include "cli/commands/command.hpp"

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/core/arguments.hpp"
#include "cli/core/times.hpp"
#include "common/core/error_text.hpp"

namespace edgefleet::cli {
namespace {

constexpr const char* tasks_group = "Tasks";
constexpr const char* fleet_group = "Fleet";
constexpr const char* files_group = "Files";
constexpr const char* models_group = "Language models";
constexpr const char* access_group = "Who may use the fleet";

constexpr std::array<Command, 26> table = {{
    {"submit", tasks_group, "Submit a task",
     "  edgefleet submit echo '\"hello\"' --wait\n"
     "  edgefleet submit llm.chat --text 'Why is the sky blue?' --wait 2m\n"
     "  edgefleet submit image.blur @picture.json --where board=pi4 --priority 5\n"
     "  jq -n '{path: \"/srv\"}' | edgefleet submit command.du -\n",
     declare_submit},
    {"tasks", tasks_group, "List tasks, newest first",
     "  edgefleet tasks --state failed --limit 50\n"
     "  edgefleet tasks --capability image.blur --json | jq '.tasks[].id'\n",
     declare_tasks},
    {"task", tasks_group, "Show one task: its attempts as a timeline, its output or error",
     "  edgefleet task 01JD3V8Q6T0000000000000000\n"
     "  edgefleet task 01JD3V8Q6T0000000000000000 --wait 30s\n",
     declare_task},
    {"cancel", tasks_group, "Cancel tasks: queued ones never start, running ones are stopped",
     "  edgefleet cancel 01JD3V8Q6T0000000000000000\n", declare_cancel},
    {"retry", tasks_group, "Run ended tasks again",
     "  edgefleet retry 01JD3V8Q6T0000000000000000\n"
     "  edgefleet retry --state failed --capability image.resize\n",
     declare_retry},
    {"batch", tasks_group, "Submit a file of tasks, one per line, and watch them",
     "  edgefleet batch tasks.jsonl\n"
     "  edgefleet batch inputs.jsonl --capability image.resize --no-wait\n"
     "  seq 1000 | edgefleet batch - --capability echo\n",
     declare_batch},
    {"queue", tasks_group, "Show what is queued and running, and why tasks wait", "  edgefleet queue\n", declare_queue},
    {"release", tasks_group, "Release the tasks that are held after the coordinator's data was restored",
     "  edgefleet release\n", declare_release},
    {"status", fleet_group, "Show the fleet on a page: the coordinator, the agents, what waits, what is out of service",
     "  edgefleet status\n", declare_status},
    {"doctor", fleet_group, "Look for what is wrong, or soon will be, and say what to do",
     "  edgefleet doctor\n"
     "  edgefleet doctor --broker\n"
     "  edgefleet doctor --json | jq '.checks[] | select(.severity != \"ok\")'\n",
     declare_doctor},
    {"capabilities", fleet_group, "List what the connected agents offer, with their slots",
     "  edgefleet capabilities\n"
     "  edgefleet capabilities image.blur\n",
     declare_capabilities},
    {"agents", fleet_group,
     "List the agents: state, slots, temperature, capabilities; forget, revoke, accept them; let them read their "
     "configuration again",
     "  edgefleet agents\n"
     "  edgefleet agents --json | jq '.agents[] | {name, celsius}'\n"
     "  edgefleet agents forget pi-old\n"
     "  edgefleet agents reload pi-1\n"
     "  edgefleet agents accept abcd-2345\n"
     "  edgefleet agents revoke pi-7\n",
     declare_agents},
    {"agent", fleet_group, "Show one agent: its machine, its executors, its tasks", "  edgefleet agent pi-1\n",
     declare_agent},
    {"drain", fleet_group, "Stop giving tasks to agents; running tasks continue", "  edgefleet drain pi-1\n",
     declare_drain},
    {"resume", fleet_group, "Give tasks to drained agents again", "  edgefleet resume pi-1\n", declare_resume},
    {"put", files_group, "Store files with the coordinator, as inputs of tasks", "  edgefleet put *.jpg\n",
     declare_put},
    {"get", files_group, "Download stored files",
     "  edgefleet get sha256-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o picture.jpg\n"
     "  edgefleet get $(edgefleet put *.jpg) -o pictures\n"
     "  edgefleet get sha256-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o - | less\n",
     declare_get},
    {"chat", models_group, "Chat with a language model of the fleet",
     "  edgefleet chat deepseek-r1:1.5b\n"
     "  edgefleet chat deepseek-r1:1.5b 'Why is the sky blue?'\n"
     "  git diff | edgefleet chat fast --system 'Write a commit message for this.'\n",
     declare_chat},
    {"models", models_group, "List the language models of the fleet; pull, remove, load them",
     "  edgefleet models\n"
     "  edgefleet models pull deepseek-coder:1.3b --where board=pi4\n"
     "  edgefleet models remove deepseek-coder:6.7b --agent pi-4\n",
     declare_models},
    {"bench", models_group, "Measure how fast the models of the fleet answer: edgefleet bench llm",
     "  edgefleet bench llm\n"
     "  edgefleet bench llm deepseek-r1:1.5b --tokens 256 --repeat 5\n"
     "  edgefleet bench llm --json | jq '.results[] | {agent, model, tokens_per_second}'\n",
     declare_bench},
    {"login", access_group, "Use a fleet from this account, with the key of an access",
     "  edgefleet login https://pi-1.local:7001#2f1a...\n"
     "  edgefleet login https://pi-1.local:7001 --key-file key.txt\n",
     declare_login},
    {"logout", access_group, "Forget a login", "  edgefleet logout\n", declare_logout},
    {"access", access_group, "Make, list and end accesses: keys for people and programs",
     "  edgefleet access create phone --role chat\n"
     "  edgefleet access create cron --role submit --capabilities 'command.backup' --expires 90d\n"
     "  edgefleet access list\n"
     "  edgefleet access rotate phone --overlap 24h\n",
     declare_access},
    {"join-token", access_group, "Make, list and end tokens with which new machines join",
     "  edgefleet join-token create\n"
     "  edgefleet join-token create --uses 3 --ttl 2h\n"
     "  edgefleet join-token create --name pi-7\n",
     declare_join_token},
    {"mqtt", access_group, "Read the fleet's messages at the broker with mosquitto_sub, with an access of an hour",
     "  edgefleet mqtt\n"
     "  edgefleet mqtt -- -v -t 'edgefleet/v1/home/agents/#'\n",
     declare_mqtt},
    {"audit", access_group, "Show who changed accesses, agents and tokens", "  edgefleet audit --limit 20\n",
     declare_audit},
}};

}  // namespace

std::span<const Command> commands() { return table; }

CLI::Option* add_wait(CLI::App& app, Wait& wait, const std::string& help) {
  const auto read = [&wait](const std::string& text) {
    wait.wanted = true;
    if (text != wait_forever) wait.limit = checked("--wait", parse_duration(text));
  };
  return app.add_option_function<std::string>("--wait", read, help)->type_name("[TIME]");
}

CLI::Option* add_duration(CLI::App& app, const std::string& name, std::optional<Duration>& duration,
                          const std::string& help, Duration least, Duration most) {
  const auto read = [name, least, most, &duration](const std::string& text) {
    duration = checked(name, parse_duration(text, most));
    if (*duration < least) throw CLI::ValidationError(name, "must be greater than zero");
  };
  return app.add_option_function<std::string>(name, read, help)->type_name("TIME");
}

Result<std::ifstream> open_file(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) return invalid("cannot read " + path + ": it is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return invalid("cannot read " + path + ": " + error_text(errno));
  return file;
}

}  // namespace edgefleet::cli
