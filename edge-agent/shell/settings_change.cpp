#include "edge-agent/shell/settings_change.hpp"

#include <array>
#include <map>
#include <variant>

#include "common/core/joined.hpp"

namespace edgefleet::agent {
namespace {

// One setting that is not an executor.
struct Row {
  const char* name;
  bool (*same)(const Settings& a, const Settings& b);
  void (*keep)(const Settings& from, Settings& to);  // null: a new value takes effect at once
};

template <auto member>
bool same(const Settings& a, const Settings& b) {
  return a.*member == b.*member;
}

template <auto member>
void keep(const Settings& from, Settings& to) {
  to.*member = from.*member;
}

template <auto member>
constexpr Row at_once(const char* name) {
  return {name, same<member>, nullptr};
}

template <auto member>
constexpr Row at_restart(const char* name) {
  return {name, same<member>, keep<member>};
}

constexpr std::array<Row, 20> rows{{
    at_restart<&Settings::name>("name"),
    at_restart<&Settings::fleet>("fleet"),
    at_restart<&Settings::broker>("broker"),
    at_restart<&Settings::username>("username"),
    at_restart<&Settings::password_file>("password-file"),
    at_restart<&Settings::broker_ca>("broker-ca"),
    at_restart<&Settings::broker_certificate>("broker-certificate"),
    at_restart<&Settings::broker_key>("broker-key"),
    at_restart<&Settings::coordinator>("coordinator"),
    at_restart<&Settings::work>("work"),
    at_restart<&Settings::join_file>("join-file"),
    at_restart<&Settings::sys>("sys"),
    at_once<&Settings::log_level>("log-level"),
    at_once<&Settings::max_held>("max-held"),
    at_once<&Settings::max_task_mb>("max-task-mb"),
    at_once<&Settings::stop_grace_s>("stop-grace-s"),
    at_once<&Settings::heat>("heat"),
    at_once<&Settings::normal_celsius>("normal-celsius"),
    at_once<&Settings::reduce_celsius>("reduce-celsius"),
    at_once<&Settings::pause_celsius>("pause-celsius"),
}};

struct Echo {
  int slots = 0;
  friend bool operator==(const Echo&, const Echo&) = default;
};
using OneConfig = std::variant<Echo, CommandConfig, PluginConfig, llm::Config>;

// An Ollama has two executors, of one configuration.
std::map<ExecutorName, OneConfig> executors_of(const Settings& settings) {
  std::map<ExecutorName, OneConfig> all;
  if (settings.echo > 0) all.emplace(*ExecutorName::parse("echo"), Echo{settings.echo});
  for (const auto& command : settings.commands) all.emplace(command.executor, command);
  for (const auto& plugin : settings.plugins) all.emplace(plugin.executor, plugin);
  for (const auto& llm : settings.llms) {
    all.emplace(llm.executor, llm);
    if (llm.keeper) all.emplace(*llm.keeper, llm);
  }
  return all;
}

void append_part(std::string& text, const char* verb, const std::string& names) {
  if (names.empty()) return;
  text += (text.empty() ? "" : "; ") + std::string(verb) + ' ' + names;
}

std::string joined_names(const std::vector<ExecutorName>& names) {
  std::vector<std::string> texts;
  for (const ExecutorName& name : names) texts.push_back(name.str());
  return joined(texts);
}

}  // namespace

SettingsChange difference(const Settings& before, const Settings& after) {
  SettingsChange change;
  const auto old = executors_of(before);
  const auto now = executors_of(after);
  for (const auto& [name, config] : now) {
    const auto known = old.find(name);
    if (known == old.end()) {
      change.added.push_back(name);
    } else if (known->second != config) {
      change.changed.push_back(name);
    }
  }
  for (const auto& [name, config] : old) {
    if (!now.contains(name)) change.removed.push_back(name);
  }
  for (const Row& row : rows) {
    if (!row.same(before, after)) (row.keep == nullptr ? change.taken : change.restart).emplace_back(row.name);
  }
  if (before.labels != after.labels) change.taken.emplace_back("labels");
  return change;
}

void keep_until_restart(const Settings& running, Settings& after) {
  for (const Row& row : rows) {
    if (row.keep != nullptr) row.keep(running, after);
  }
  after.name_is_default = running.name_is_default;
}

std::string changes_text(const SettingsChange& change) {
  std::string text;
  append_part(text, "added", joined_names(change.added));
  append_part(text, "changed", joined_names(change.changed));
  append_part(text, "removed", joined_names(change.removed));
  append_part(text, "new", joined(change.taken));
  return text;
}

}  // namespace edgefleet::agent
