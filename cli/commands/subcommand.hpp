// Commands that consist of subcommands: `edgefleet access create`.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"

namespace edgefleet::cli {

struct Subcommand {
  const char* name;
  const char* summary;
  const char* example;
  Run (*declare)(CLI::App& app);
};

inline CLI::App* add_subcommand(CLI::App& app, const char* name, const char* help, const char* example) {
  auto* sub = app.add_subcommand(name, help);
  sub->fallthrough();
  sub->group("Commands");
  sub->footer(std::string("Examples:\n  ") + example + "\n");
  return sub;
}

// One of them must be given.
inline Run declare_subcommands(CLI::App& app, const std::vector<Subcommand>& all) {
  std::map<const CLI::App*, Run> runs;
  for (const Subcommand& one : all) {
    auto* sub = add_subcommand(app, one.name, one.summary, one.example);
    runs[sub] = one.declare(*sub);
  }
  app.require_subcommand(1);
  return [&app, runs](Session& session) { return runs.at(app.get_subcommands().front())(session); };
}

}  // namespace edgefleet::cli
