#include "edge-agent/join_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>

#include "common/core/backoff.hpp"
#include "common/core/error_text.hpp"
#include "common/core/trimmed.hpp"
#include "common/files/folder.hpp"
#include "common/runtime/log.hpp"
#include "common/runtime/signals.hpp"
#include "edge-agent/identity/joining.hpp"
#include "edge-agent/shell/own_name.hpp"

namespace edgefleet::agent {
namespace {

constexpr const char* token_option = "--token";
constexpr const char* token_variable = "EDGEFLEET_JOIN_TOKEN";
constexpr std::size_t most_token_text = 2 * join::longest_token;

// Overwrites the text where the system keeps it.
std::string take_text(char* text) {
  std::string taken(text);
  std::memset(text, 'x', taken.size());
  return taken;
}

void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

// One line, or as much of it as a token may have.
Result<std::string> read_bounded_line(std::istream& from) {
  std::string line;
  char c = 0;
  while (line.size() <= most_token_text && from.get(c) && (c != '\n' || trimmed(line).empty())) line += c;
  if (trimmed(line).empty()) return invalid("there is no join token on standard input");
  return line;
}

Result<std::string> read_token_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(most_token_text, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (trimmed(text).empty()) return invalid("cannot read a join token from " + path + ": it is absent or empty");
  return text;
}

// `work`: where the identity is made, which for a join anew is another folder.
JoinOptions options_of(const Settings& settings, const std::string& work) {
  JoinOptions options;
  options.work = work;
  options.machine = {settings.name, !settings.name_is_default, machine_identity(settings.work)};
  return options;
}

}  // namespace

TokenText take_token(int argc, char** argv) {
  TokenText taken;
  const std::string with_value = std::string(token_option) + "=";
  for (int i = 0; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == token_option && i + 1 < argc) {
      taken.text = take_text(argv[++i]);
    } else if (word.starts_with(with_value)) {
      taken.text = take_text(argv[i] + with_value.size());
    } else {
      taken.arguments.push_back(argv[i]);
    }
  }
  const std::string of_environment = std::string(token_variable) + "=";
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {  // a name may be there twice
    if (!std::string_view(*one).starts_with(of_environment)) continue;
    auto text = take_text(*one + of_environment.size());
    if (taken.text.empty()) taken.text = std::move(text);
  }
  ::unsetenv(token_variable);
  return taken;
}

void JoinCommand::declare(Configuration& configuration) {
  CLI::App* const command = configuration.command("join", "Makes this machine an agent of a fleet that was set up");
  command->add_option("HOST", address_, "the coordinator, HOST or HOST:PORT (7002): asks there, and shows a code")
      ->type_name("");
  command->add_option("--token-file", token_file_, "file with a join token; - is standard input");
  command->add_option(token_option, token_,
                      "a join token, where a file is not possible; EDGEFLEET_JOIN_TOKEN is the same. Both are erased "
                      "from what `ps` shows");
  command->add_flag("--again", again_,
                    "also if this machine has joined already: with a new key; what it has stays until that succeeds");
  command->callback([this] { given_ = true; });
  command->footer(
      "Without --name the machine has its host's name, with a suffix if another machine has that.\n\n"
      "Examples:\n"
      "  edgefleet-agent join --token-file - --work /var/lib/edgefleet-agent\n"
      "  edgefleet-agent join pi-1.local --name kitchen\n");
}

// Of the file, of standard input, or what was taken at the start. Empty: there is none.
Result<std::string> JoinCommand::token_text(const std::string& given) const {
  if (token_file_.empty()) return given;
  if (token_file_ != "-") return read_token_file(token_file_);
  if (::isatty(STDIN_FILENO) != 0) std::cerr << "join token: ";
  return read_bounded_line(std::cin);
}

Result<JoinCommand::Means> JoinCommand::means(const std::string& given) const {
  const auto text = token_text(given);
  if (!text) return text.error();
  if (text->empty() && address_.empty()) {
    return invalid(
        "a join token is missing: pass --token-file FILE, or the coordinator's address to be accepted by a code");
  }
  if (text->empty()) return Means{};
  if (!address_.empty()) return invalid("give a token or the coordinator's address, not both");
  auto token = join::decode(*text);
  if (!token) return token.error();
  return Means{std::move(*token)};
}

Result<Identity> JoinCommand::join(const Means& means, const std::string& work, const std::stop_token& stop) const {
  const Tell tell = [](const std::string& line) { say(line); };
  const JoinOptions options = options_of(settings_, work);
  return means.token ? join_with_token(*means.token, options, tell, stop) : join_by_code(address_, options, tell, stop);
}

// What it has is kept until the new one is complete.
Result<Identity> JoinCommand::join_again(const Means& means, const std::stop_token& stop) const {
  const auto folder = rejoin_folder(settings_.work);
  if (!folder) return folder.error();
  auto joined = join(means, *folder, stop);
  if (!joined) return joined;
  if (const auto taken = take_rejoined(settings_.work); !taken) return taken.error();
  return joined;
}

// A join that is repeated by a script succeeds; one that asks for another fleet does not.
Status JoinCommand::is_of(const Identity& identity, const std::string& given, const std::stop_token& stop) const {
  const bool asks = !given.empty() || !token_file_.empty() || !address_.empty();
  if (!asks) return success();
  const auto wanted = means(given);
  if (!wanted) return wanted.error();
  std::string ca = wanted->token ? wanted->token->ca_sha256 : "";
  if (!wanted->token) {
    const auto seen = ca_seen_at(address_, stop);
    if (!seen) return success();  // it has joined, whether or not that server works now
    ca = *seen;
  }
  if (ca == identity.ca_sha256) return success();
  return Error{"this machine is agent " + identity.name + " of fleet " + identity.fleet + ", and " +
                   (wanted->token ? "the token is of another fleet" : "another fleet is at " + address_) +
                   "; --again makes it leave the one and join the other",
               ErrorKind::conflict};
}

Result<std::string> JoinCommand::outcome(const std::string& given, const std::stop_token& stop) const {
  const std::string next = "\nNext: edgefleet-agent --work " + settings_.work;
  const auto completed = take_rejoined(settings_.work);
  if (!completed) return completed.error();
  const auto present = load_identity(settings_.work);
  if (!present && !again_) return present.error();
  if (*completed && present && *present) {
    return "an earlier join is complete now: this machine is agent " + (*present)->name + " of fleet " +
           (*present)->fleet + next;
  }
  if (present && *present && !again_) {
    if (auto same = is_of(**present, given, stop); !same) return same.error();
    return "this machine is agent " + (*present)->name + " of fleet " + (*present)->fleet +
           " already; --again makes it join anew" + next;
  }
  if (!AgentName::parse(settings_.name)) {
    return invalid((settings_.name_is_default ? "the name of this machine, \"" : "--name, \"") + settings_.name +
                   "\", is no name for an agent: " + std::string(name_rule) +
                   (settings_.name_is_default ? "; give it one with --name" : ""));
  }
  const auto wanted = means(given);
  if (!wanted) return wanted.error();
  const auto joined = again_ ? join_again(*wanted, stop) : join(*wanted, settings_.work, stop);
  if (!joined) return joined.error();
  return "joined fleet " + joined->fleet + " as agent " + joined->name + next;
}

int JoinCommand::run(const std::string& token) const {
  if (auto made = make_private_folder(settings_.work, "--work"); !made) {
    return give_up(program, made.error().message);
  }
  FolderLock lock;
  const auto locked = lock.take(settings_.work, "an agent uses the work folder " + settings_.work + "; stop it first");
  if (!locked) return give_up(program, locked.error().message);
  std::stop_source stop;
  const Signals signals([&] { stop.request_stop(); });
  const auto done = outcome(token, stop.get_token());
  if (!done) return give_up(program, done.error().message);
  say(*done);
  return 0;
}

// ---- at the start of an agent

namespace {

struct FoundToken {
  join::Token token;
  std::string file;  // empty: of the command line or the environment
};

Result<std::optional<FoundToken>> found_in(const std::string& file) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(file, unknown)) return std::optional<FoundToken>();
  const auto text = read_token_file(file);
  if (!text) return text.error();
  auto token = join::decode(*text);
  if (!token) return token.error().context(file);
  return std::optional(FoundToken{std::move(*token), file});
}

Result<std::optional<FoundToken>> find_token(const Settings& settings, const std::string& given) {
  if (!given.empty()) {
    auto token = join::decode(given);
    if (!token) return token.error().context(std::string(token_variable) + " or " + token_option);
    return std::optional(FoundToken{std::move(*token), {}});
  }
  for (const auto& file : boot_files(settings)) {
    auto found = found_in(file);
    if (!found || *found) return found;
  }
  return std::optional<FoundToken>();
}

void erase(const std::string& file) {
  if (::unlink(file.c_str()) == 0) return log::info(file + " was erased: this agent has joined");
  log::warning(file + " cannot be erased (" + error_text(errno) + "): do it by hand, it has a secret");
}

bool pause(Duration length, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any rings;
  std::unique_lock lock(mutex);
  rings.wait_for(lock, stop, length, [] { return false; });
  return !stop.stop_requested();
}

// The network of a machine that was just switched on, and the coordinator, may come later.
Result<Identity> join_patiently(const Settings& settings, const FoundToken& found, const std::stop_token& stop) {
  const Backoff backoff{std::chrono::seconds(1), std::chrono::minutes(1)};
  const std::string where = found.file.empty() ? "joining" : "joining with the token in " + found.file;
  log::Complaints complaints;
  for (int failures = 1;; ++failures) {
    auto joined = join_with_token(
        found.token, options_of(settings, settings.work), [](const std::string& line) { log::debug(line); }, stop);
    if (joined) return joined;
    const auto kind = joined.error().kind;
    if (kind != ErrorKind::unavailable && kind != ErrorKind::busy) return joined.error().context(where);
    if (stop.stop_requested()) return joined;
    complaints.complain("join", where + ": " + joined.error().message + "; trying again");
    if (!pause(backoff.ceiling(failures), stop)) return joined;
  }
}

}  // namespace

void erase_boot_files(const Settings& settings, const Identity& identity) {
  for (const auto& file : boot_files(settings)) {
    const auto found = found_in(file);
    if (found && *found && (*found)->token.ca_sha256 == identity.ca_sha256) erase(file);
  }
}

Result<std::optional<Identity>> join_at_start(const Settings& settings, const std::string& given,
                                              const std::stop_token& stop) {
  const auto found = find_token(settings, given);
  if (!found) return found.error();
  if (!*found) return std::optional<Identity>();
  auto joined = join_patiently(settings, **found, stop);
  if (!joined) return joined.error();
  log::info("joined fleet " + joined->fleet + " as agent " + joined->name);
  if (!(*found)->file.empty()) erase((*found)->file);
  return std::optional(std::move(*joined));
}

}  // namespace edgefleet::agent
