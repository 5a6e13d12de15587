#include "edge-agent/join_command.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "common/files/folder.hpp"
#include "common/files/text_digest.hpp"
#include "common/join/token.hpp"
#include "common/runtime/log.hpp"
#include "common/runtime/secret.hpp"
#include "common/runtime/signals.hpp"
#include "edge-agent/identity/joining.hpp"
#include "edge-agent/shell/own_name.hpp"

namespace edgefleet::agent {
namespace {

constexpr const char* token_option = "--token";
constexpr const char* token_variable = "EDGEFLEET_JOIN_TOKEN";
const std::vector<std::string> usual_boot_files{"/boot/firmware/edgefleet-join", "/boot/edgefleet-join"};

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

JoinOptions options_of(const Settings& settings) {
  JoinOptions options;
  options.work = settings.work;
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
  if (char* text = std::getenv(token_variable)) {
    auto of_environment = take_text(text);
    ::unsetenv(token_variable);
    if (taken.text.empty()) taken.text = std::move(of_environment);
  }
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
  command->add_flag("--again", again_, "also if this machine has joined already: with a new key");
  command->callback([this] { given_ = true; });
  command->footer(
      "Without --name the machine has its host's name, with a suffix if another machine has that.\n\n"
      "Examples:\n"
      "  edgefleet-agent join --token-file - --work /var/lib/edgefleet-agent\n"
      "  edgefleet-agent join pi-1.local --name kitchen\n");
}

Result<Identity> JoinCommand::join(const std::string& given, const std::stop_token& stop) const {
  const Tell tell = [](const std::string& line) { say(line); };
  std::string text = given;
  if (token_file_ == "-") {
    std::getline(std::cin, text);
  } else if (!token_file_.empty()) {
    auto read = read_secret(token_file_);
    if (!read) return read.error();
    text = std::move(*read);
  }
  if (!text.empty() && !address_.empty()) return invalid("give a token or the coordinator's address, not both");
  if (!address_.empty()) return join_by_code(address_, options_of(settings_), tell, stop);
  if (text.empty()) {
    return invalid(
        "a join token is missing: pass --token-file FILE, or the coordinator's address to be accepted by a "
        "code");
  }
  const auto token = join::decode(text);
  if (!token) return token.error();
  return join_with_token(*token, options_of(settings_), tell, stop);
}

int JoinCommand::run(const std::string& token) {
  if (auto made = make_private_folder(settings_.work, "--work"); !made) {
    return give_up(program, made.error().message);
  }
  FolderLock lock;
  const auto locked = lock.take(settings_.work, "an agent uses the work folder " + settings_.work + "; stop it first");
  if (!locked) return give_up(program, locked.error().message);
  const auto present = load_identity(settings_.work);
  if (present && *present && !again_) {
    say("this machine is agent " + (*present)->name + " of fleet " + (*present)->fleet +
        " already; --again makes it join anew");
    return 0;
  }
  if (!present && !again_) return give_up(program, present.error().message);
  if (again_) {
    if (auto forgotten = forget_identity(settings_.work); !forgotten) {
      return give_up(program, forgotten.error().message);
    }
  }
  std::stop_source stop;
  const Signals signals([&] { stop.request_stop(); });
  const auto joined = join(token, stop.get_token());
  if (!joined) return give_up(program, joined.error().message);
  say("joined fleet " + joined->fleet + " as agent " + joined->name);
  say("Next: edgefleet-agent --work " + settings_.work);
  return 0;
}

Result<std::optional<Identity>> join_from_boot_file(const Settings& settings, const std::stop_token& stop) {
  const auto files = settings.join_file.empty() ? usual_boot_files : std::vector{settings.join_file};
  for (const auto& file : files) {
    std::error_code unknown;
    if (!std::filesystem::exists(file, unknown)) continue;
    const auto text = read_secret(file);
    if (!text) return text.error();
    const auto token = join::decode(*text);
    if (!token) return token.error().context(file);
    auto joined = join_with_token(*token, options_of(settings), [](const std::string& line) { log::info(line); }, stop);
    if (!joined) return joined.error().context("joining with the token in " + file);
    if (::unlink(file.c_str()) != 0) {
      log::warning(file + " cannot be erased; do it by hand, it has a secret");
    }
    log::info("joined fleet " + joined->fleet + " as agent " + joined->name);
    return std::optional(std::move(*joined));
  }
  return std::optional<Identity>();
}

}  // namespace edgefleet::agent
