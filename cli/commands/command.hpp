// The commands of the program: one table with an entry for each.
#pragma once

#include <CLI/CLI.hpp>
#include <fstream>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "cli/commands/session.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/core/time.hpp"

namespace edgefleet::cli {

inline constexpr std::string_view default_url = "http://127.0.0.1:7001";

using Run = std::function<Exit(Session&)>;

struct Command {
  const char* name;
  const char* group;
  const char* summary;
  const char* examples;
  Run (*declare)(CLI::App& app);  // adds the options; the returned function runs after they have been parsed
};
std::span<const Command> commands();

Run declare_submit(CLI::App& app);
Run declare_tasks(CLI::App& app);
Run declare_task(CLI::App& app);
Run declare_cancel(CLI::App& app);
Run declare_retry(CLI::App& app);
Run declare_batch(CLI::App& app);
Run declare_status(CLI::App& app);
Run declare_capabilities(CLI::App& app);
Run declare_agents(CLI::App& app);
Run declare_agent(CLI::App& app);
Run declare_drain(CLI::App& app);
Run declare_resume(CLI::App& app);
Run declare_queue(CLI::App& app);
Run declare_release(CLI::App& app);
Run declare_put(CLI::App& app);
Run declare_get(CLI::App& app);
Run declare_chat(CLI::App& app);
Run declare_bench(CLI::App& app);
Run declare_models(CLI::App& app);
Run declare_login(CLI::App& app);
Run declare_logout(CLI::App& app);
Run declare_access(CLI::App& app);
Run declare_join_token(CLI::App& app);
Run declare_audit(CLI::App& app);
Run declare_doctor(CLI::App& app);
Run declare_mqtt(CLI::App& app);

// `--wait [TIME]`: whether to wait, and the maximum time.
struct Wait {
  bool wanted = false;
  std::optional<Duration> limit;
};
CLI::Option* add_wait(CLI::App& app, Wait& wait, const std::string& help);
CLI::Option* add_duration(CLI::App& app, const std::string& name, std::optional<Duration>& duration,
                          const std::string& help, Duration least = Duration{0}, Duration most = limits::longest);

// A folder can be opened, but not read: it is refused with a reason.
Result<std::ifstream> open_file(const std::string& path);

// The value, or a wrong-usage error of the option parser.
template <typename T>
T checked(const std::string& option, Result<T> value) {
  if (!value) throw CLI::ValidationError(option, value.error().message);
  return std::move(*value);
}

}  // namespace edgefleet::cli
