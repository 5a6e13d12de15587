// mqtt: mosquitto_sub with an access of an hour, for one terminal: two with one name would end each other's session.
#include "cli/core/mqtt.hpp"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <utility>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/core/times.hpp"
#include "common/core/error_text.hpp"
#include "common/files/private_file.hpp"
#include "common/logins/logins.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* reader = "mosquitto_sub";
constexpr auto life_of_access = std::chrono::hours(1);

Result<Document> document_of(const Result<std::string>& body) {
  if (!body) return body.error();
  return read_answer(*body);
}

// Removed with the key in it, unless it is kept.
class OptionsFolder {
 public:
  // mosquitto_sub reads the file $XDG_CONFIG_HOME/mosquitto_sub, so each access has a folder of its own.
  static Result<OptionsFolder> make(const std::string& path, const std::string& options) {
    if (::mkdir(path.c_str(), S_IRWXU) != 0) {
      return Error{"the folder " + path + " cannot be created: " + error_text(errno), ErrorKind::full};
    }
    OptionsFolder folder(path);
    if (auto written = write_private_file(folder.file(), options); !written) return written.error();
    return folder;
  }
  OptionsFolder(const OptionsFolder&) = delete;
  OptionsFolder& operator=(const OptionsFolder&) = delete;
  OptionsFolder(OptionsFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  OptionsFolder& operator=(OptionsFolder&&) = delete;
  ~OptionsFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file() const { return path_ + "/" + reader; }
  std::string keep() { return std::exchange(path_, {}); }

 private:
  explicit OptionsFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::string folder_of_all() { return logins_folder() + "/mqtt"; }

// Those of accesses that have ended: printed ones, and of programs that were killed.
void remove_old() {
  std::error_code failure;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(folder_of_all(), failure)) {
    const auto made = entry.last_write_time(failure);
    if (!failure && now - made > life_of_access) fs::remove_all(entry.path(), failure);
  }
}

struct Prepared {
  MqttAccess access;
  OptionsFolder folder;
};

Result<Prepared> prepare(Session& session) {
  const auto& url = session.client().base_url();
  const auto logins = read_logins(logins_folder());
  if (!logins) return logins.error();
  const Login* login = logins->find(url);
  if (login == nullptr) return invalid("there is no login at " + url + ": log in with `edgefleet login URL`");
  const auto own = document_of(session.get("/api/v1/access"));
  if (!own) return own.error();
  const auto made = document_of(session.post("/api/v1/access/mqtt", "{}"));
  if (!made) return made.error();
  auto access = mqtt_access_of(*own, *made);
  if (!access) return access.error();
  remove_old();
  ::mkdir(folder_of_all().c_str(), S_IRWXU);  // a failure shows below
  auto folder = OptionsFolder::make(folder_of_all() + "/" + access->name, options_text(*access, login->ca_file));
  if (!folder) return folder.error();
  return Prepared{std::move(*access), std::move(*folder)};
}

std::string until(const MqttAccess& access) {
  const auto at = parse_instant(access.expires_at);
  return at ? "until " + show_instant(*at) : "for an hour";
}

Exit print_line(Session& session, Prepared& prepared) {
  const auto& access = prepared.access;
  const auto file = prepared.folder.file();
  const auto line = "XDG_CONFIG_HOME=" + shell_word(prepared.folder.keep()) + " " + reader + " -v -t '" +
                    printable(access.root) + "#'";
  if (session.json()) {
    std::string text;
    {
      json::ObjectWriter object(text);
      object.string("name", access.name);
      object.string("role", access.role);
      object.string("expires_at", access.expires_at);
      object.string("options_file", file);
      object.string("command", line);
    }
    session.print(text);
    return Exit::ok;
  }
  session.print(line);
  session.note("For one terminal, as " + access.name + ", " + until(access) +
               "; the password is in the options file. To run it at once: " + session.hint("mqtt -- -v -t 'agents/#'"));
  return Exit::ok;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

Result<pid_t> start(std::vector<std::string> words, const std::string& configuration) {
  constexpr std::string_view variable = "XDG_CONFIG_HOME=";
  std::vector<std::string> environment{std::string(variable) + configuration};
  for (char** one = environ; *one != nullptr; ++one) {
    if (!std::string_view(*one).starts_with(variable)) environment.emplace_back(*one);
  }
  // Signals as they were when this program began.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int failure =
      ::posix_spawnp(&child, reader, nullptr, &attributes, pointers(words).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  if (failure == ENOENT) return invalid("mosquitto_sub is not installed; its Debian package is mosquitto-clients");
  if (failure != 0) return Error{"mosquitto_sub cannot be started: " + error_text(failure)};
  return child;
}

// Its status; an interrupt ends it too.
int wait_for(pid_t child, const Interrupt& interrupt) {
  {
    const std::stop_callback end(interrupt.token(), [child] { ::kill(child, SIGTERM); });
    siginfo_t ended{};
    // Until it is reaped below, its id is that of no other process.
    while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

Exit run_reader(Session& session, const Prepared& prepared, const std::vector<std::string>& arguments,
                const Interrupt& interrupt) {
  const auto& access = prepared.access;
  session.note("As " + access.name + ", " + until(access) + "; topics are below " + printable(access.root));
  auto words = below_root(arguments, access.root);
  words.insert(words.begin(), reader);
  const auto child = start(std::move(words), prepared.folder.path());
  if (!child) return session.fail(child.error());
  const int status = wait_for(*child, interrupt);
  if (interrupt.happened()) return interrupt.exit();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Exit::ok;
  return session.fail(
      std::string("mosquitto_sub ended with ") + (WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                                                    : "signal " + std::to_string(WTERMSIG(status))),
      Exit::coordinator);
}

Exit read_topics(Session& session, const std::vector<std::string>& arguments) {
  const Interrupt interrupt;  // before there is a file with a key, which must not stay
  auto prepared = prepare(session);
  if (!prepared) return session.fail(prepared.error());
  if (interrupt.happened()) return interrupt.exit();
  return arguments.empty() ? print_line(session, *prepared) : run_reader(session, *prepared, arguments, interrupt);
}

}  // namespace

Run declare_mqtt(CLI::App& app) {
  auto arguments = std::make_shared<std::vector<std::string>>();
  app.add_option("OPTIONS", *arguments, "of mosquitto_sub, after --; topics are below the fleet's root")->type_name("");
  return [arguments](Session& session) { return read_topics(session, *arguments); };
}

}  // namespace edgefleet::cli
