// mqtt: runs mosquitto_sub with an access of an hour.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/commands/command.hpp"
#include "common/core/error_text.hpp"
#include "common/files/folder.hpp"
#include "common/files/private_file.hpp"
#include "common/logins/logins.hpp"

namespace edgefleet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* reader = "mosquitto_sub";

struct Access {
  std::string name;
  std::string key;
  std::string host;
  std::uint64_t port = 0;
  std::string root;
};

Result<Access> make_access(Session& session) {
  const auto own = session.get("/api/v1/access");
  const auto owner = own ? read_answer(*own) : Result<Document>(own.error());
  if (!owner) return owner.error();
  const auto made = session.post("/api/v1/access/mqtt");
  const auto access = made ? read_answer(*made) : Result<Document>(made.error());
  if (!access) return access.error();
  const auto& mqtt = member_of(*owner, "mqtt");
  return Access{text_of(*access, "name"), text_of(*access, "key"), text_of(mqtt, "host"), count_of(mqtt, "port"),
                text_of(mqtt, "root")};
}

// A folder of its own for each terminal: mosquitto_sub reads $XDG_CONFIG_HOME/mosquitto_sub, a line for each option.
Result<std::string> write_options(Session& session, const Access& access) {
  for (const auto* text : {&access.name, &access.host}) {
    if (text->empty() || text->front() == '-' || printable(*text) != *text) {
      return Error{"the answer is not from a coordinator; check the URL"};
    }
  }
  const auto logins = read_logins(logins_folder());
  if (!logins) return logins.error();
  const Login* login = logins->find(session.client().base_url());
  if (login == nullptr) return invalid("there is no login at " + session.client().base_url());
  const std::string folder = logins_folder() + "/" + access.name;
  if (auto made = make_private_folder(folder, "the folder of logins"); !made) return made.error();
  const std::string options = "-h " + access.host + "\n-p " + std::to_string(access.port) + "\n--cafile " +
                              login->ca_file + "\n-V mqttv5\n-u " + access.name + "\n-P " + access.key + "\n";
  if (auto written = write_private_file(folder + "/" + reader, options); !written) return written.error();
  return folder;
}

Exit run_reader(Session& session, const std::string& folder, const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  std::string program(reader);
  std::vector<std::string> words(arguments);
  argv.push_back(program.data());
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return session.fail("cannot start " + program + ": " + error_text(errno), Exit::coordinator);
  if (child == 0) {
    ::setenv("XDG_CONFIG_HOME", folder.c_str(), 1);
    ::execvp(reader, argv.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return session.fail(program + " is not installed; its Debian package is mosquitto-clients", Exit::usage);
  }
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGTERM ? Exit::terminated : Exit::interrupted;
  return WEXITSTATUS(status) == 0 ? Exit::ok : Exit::coordinator;
}

Exit read_topics(Session& session, const std::vector<std::string>& arguments) {
  const auto access = make_access(session);
  if (!access) return session.fail(access.error());
  const auto folder = write_options(session, *access);
  if (!folder) return session.fail(folder.error());
  if (!arguments.empty()) return run_reader(session, *folder, arguments);
  session.print("XDG_CONFIG_HOME=" + *folder + " " + reader + " -v -t '" + printable(access->root) + "#'");
  session.note("The access " + access->name + " ends in an hour. To run it at once: edgefleet mqtt -- -v -t '" +
               printable(access->root) + "agents/#'");
  return Exit::ok;
}

}  // namespace

Run declare_mqtt(CLI::App& app) {
  auto arguments = std::make_shared<std::vector<std::string>>();
  app.add_option("OPTIONS", *arguments, "of mosquitto_sub, after --")->type_name("");
  return [arguments](Session& session) { return read_topics(session, *arguments); };
}

}  // namespace edgefleet::cli
