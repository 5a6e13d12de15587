// edgefleet: the command-line client of a fleet.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/commands/session.hpp"
#include "cli/core/arguments.hpp"
#include "common/core/nearest.hpp"
#include "common/http/url.hpp"
#include "common/logins/logins.hpp"

namespace edgefleet::cli {
namespace {

constexpr const char* closing =
    "Every command accepts --url URL (or EDGEFLEET_URL) and --json, before or after its name.\n"
    "Times: 500ms, 10s, 5m, 2h, 1h30m; a bare number is in seconds.\n"
    "Exit codes: 0 done; 1 a task failed, was cancelled or expired; 2 wrong usage;\n"
    "  3 the coordinator cannot be reached, or answered with an error; 4 unfinished when the wait ended.\n";

struct Program {
  CLI::App app{"edgefleet: submits tasks to a fleet of small computers and manages the fleet", "edgefleet"};
  std::string url;  // empty: that of the last login, or the usual one
  bool json = false;
  std::map<const CLI::App*, Run> runs;
};

void declare(Program& program) {
  auto& app = program.app;
  app.set_version_flag("--version", "edgefleet " EDGEFLEET_VERSION);
  app.add_option("--url", program.url,
                 "URL of the coordinator (default: that of the last login, or http://127.0.0.1:7001)")
      ->envname("EDGEFLEET_URL")
      ->type_name("URL");
  app.add_flag("--json", program.json, "print the answer of the API as JSON");
  app.require_subcommand(1);
  app.footer(std::string("Examples:\n  edgefleet submit echo '\"hello\"' --wait\n  edgefleet agents\n"
                         "  edgefleet help submit\n\n") +
             closing);
  app.add_subcommand("help", "Show the options of a command, with examples")->group("Fleet");
  for (const auto& command : commands()) {
    auto* sub = app.add_subcommand(command.name, command.summary);
    sub->group(command.group);
    sub->fallthrough();
    sub->footer(std::string("Examples:\n") + command.examples + "\n" + closing);
    program.runs[sub] = command.declare(*sub);
  }
}

std::vector<std::string> names_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* sub : app.get_subcommands({})) names.push_back(sub->get_name());
  return names;
}

std::vector<std::string> options_of(const Program& program, const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* of : {&program.app, &app}) {
    for (const auto* option : of->get_options()) {
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& names) {
  const auto near = nearest(word.substr(0, word.find('=')), names);
  return near ? "; did you mean " + *near + "?" : "";
}

// The first word that is no option.
std::vector<std::string>::iterator command_in(std::vector<std::string>& arguments) {
  for (auto word = arguments.begin(); word != arguments.end(); ++word) {
    if (!word->starts_with('-')) return word;
    if (*word == "--url" && word + 1 != arguments.end()) ++word;
  }
  return arguments.end();
}

// `edgefleet help submit` is `edgefleet submit --help`.
void read_help(std::vector<std::string>& arguments) {
  const auto command = command_in(arguments);
  if (command == arguments.end() || *command != "help") return;
  arguments.erase(command);
  arguments.emplace_back("--help");
}

// With --help, the parser would show the help of the program instead of an error.
std::optional<std::string> unknown_command(const Program& program, std::vector<std::string>& arguments) {
  const auto names = names_of(program.app);
  const auto command = command_in(arguments);
  if (command == arguments.end() || std::find(names.begin(), names.end(), *command) != names.end()) return std::nullopt;
  return *command;
}

Exit wrong_usage(const Program& program, const std::string& message) {
  std::string help = "edgefleet";
  for (auto named = program.app.get_subcommands(); !named.empty(); named = named.front()->get_subcommands()) {
    help += " " + named.front()->get_name();
  }
  std::fprintf(stderr, "edgefleet: %s%s %s --help\n", printable(message).c_str(),
               message.ends_with('?') ? " See" : "; see", help.c_str());
  return Exit::usage;
}

std::string without_command(const Program& program) {
  const auto unknown = program.app.remaining();
  if (unknown.empty()) return "no command; try edgefleet status";
  return "no such option: '" + unknown.front() + "'" + suggestion(unknown.front(), options_of(program, program.app));
}

// The words that were not expected, after the command's name.
std::string unexpected(const Program& program, const CLI::ParseError& error) {
  const auto* app = &program.app;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  const auto words = program.app.remaining(true);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr || words.empty()) return error.what();
  const auto& word = words.front();
  const auto options = options_of(program, *app);
  if (std::find(options.begin(), options.end(), word) != options.end()) {
    return "'" + word + "' was not expected after --: what follows is no option";
  }
  if (word.starts_with('-')) return "no such option: '" + word + "'" + suggestion(word, options);
  return "'" + word + "' was not expected" + suggestion(word, names_of(*app));
}

// The login of the URL, if there is one.
Result<Session::Target> target_of(const Program& program) {
  const auto logins = read_logins(logins_folder());
  if (!logins) return logins.error();
  const bool given = !program.url.empty();
  Session::Target target{given ? http::normal_base(program.url) : logins->chosen};
  if (target.url.empty()) target.url = default_url;
  const char* environment = std::getenv("EDGEFLEET_URL");
  target.by_option =
      given && (environment == nullptr || target.url != http::normal_base(environment)) && target.url != default_url;
  if (const Login* login = logins->find(target.url)) {
    target.credentials.ca = login->ca_file;
    target.credentials.bearer = login->key;
  }
  return target;
}

Exit run(std::vector<std::string> arguments) {
  Program program;
  declare(program);
  read_help(arguments);
  if (const auto unknown = unknown_command(program, arguments)) {
    return wrong_usage(program, "no such command: '" + *unknown + "'" + suggestion(*unknown, names_of(program.app)));
  }
  try {
    arguments = join_wait(std::move(arguments));
    std::reverse(arguments.begin(), arguments.end());  // the parser reads them from the end
    program.app.parse(std::move(arguments));
  } catch (const CLI::Success& asked) {  // --help, --version
    program.app.exit(asked);
    return Exit::ok;
  } catch (const CLI::ParseError& error) {
    const bool named = !program.app.get_subcommands().empty();
    return wrong_usage(program, named ? unexpected(program, error) : without_command(program));
  }
  if (!program.url.empty() && !http::is_server(program.url)) {
    return wrong_usage(program, "--url: '" + program.url + "' is not of the form http://HOST:PORT");
  }
  const auto target = target_of(program);
  if (!target) return wrong_usage(program, target.error().message);
  Session session(*target, program.json);
  return program.runs.at(program.app.get_subcommands().front())(session);
}

// A full disk behind standard output must not look like success. A closed pipe is not an error.
bool flushed() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0) return true;
  std::fprintf(stderr, "edgefleet: cannot write to standard output\n");
  return false;
}

}  // namespace
}  // namespace edgefleet::cli

int main(int argc, char** argv) {
  using edgefleet::cli::Exit;
  std::signal(SIGPIPE, SIG_IGN);  // a broken connection or pipe is an error of the call; it must not end the program
  auto exit = Exit::coordinator;
  try {
    exit = edgefleet::cli::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "edgefleet: unexpected: %s\n", error.what());
  }
  if (exit == Exit::ok && !edgefleet::cli::flushed()) exit = Exit::usage;
  if (exit == Exit::interrupted || exit == Exit::terminated) edgefleet::cli::die_by_signal(exit);
  return static_cast<int>(exit);
}
