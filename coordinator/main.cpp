#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <thread>

#include "common/core/utf8.hpp"
#include "common/http_server/server.hpp"
#include "common/mqtt/tls.hpp"
#include "common/runtime/configuration.hpp"
#include "common/runtime/log.hpp"
#include "common/runtime/secret.hpp"
#include "common/runtime/signals.hpp"
#include "common/runtime/table_reader.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/fleet_restore.hpp"
#include "coordinator/broker_guard.hpp"
#include "coordinator/broker_trial.hpp"
#include "coordinator/closed_mode.hpp"
#include "coordinator/http/api/api.hpp"
#include "coordinator/http/caller.hpp"
#include "coordinator/http/host.hpp"
#include "coordinator/http/llm/routes.hpp"
#include "coordinator/http/site/gate.hpp"
#include "coordinator/http/site/refuse.hpp"
#include "coordinator/http/site/unknown_endpoint.hpp"
#include "coordinator/maintenance.hpp"
#include "coordinator/setup.hpp"
#include "coordinator/shell/loop.hpp"
#include "coordinator/store/sqlite/sqlite.hpp"

namespace {

using namespace edgefleet;
using namespace edgefleet::coordinator;

constexpr const char* program = "edgefleet-coordinator";

struct Settings {
  std::string fleet = "home";
  std::string broker = "mqtt://127.0.0.1:1883";
  std::string username;
  std::string password_file;
  mqtt::TlsFiles broker_tls;
  std::string data = "edgefleet-data";
  std::string listen = "127.0.0.1:7001";
  bool allow_remote = false;
  std::string allow_origin;
  std::string log_level = "info";
  std::size_t max_tasks = Policy{}.most_tasks;
  std::uint64_t max_input_mb = Policy{}.most_bytes >> 20U;
  std::uint64_t max_task_mb = limits::usual_task_bytes >> 20U;
  std::uint64_t max_artifact_mb = Artifacts::Bounds{}.file_bytes >> 20U;
  std::uint64_t artifact_quota_mb = Artifacts::Bounds{}.total_bytes >> 20U;
  double keep_ended = 7;  // days
  std::size_t keep_ended_tasks = Retention{}.most;
  std::uint64_t keep_ended_mb = Retention{}.bytes >> 20U;
  std::uint64_t keep_free_mb = DiskSpace::usual >> 20U;
  std::size_t max_connections = http_server::Bounds{}.connections;
  std::size_t max_waiting_per_access = WaitBound::usual_of_one;
  bool take_over = false;
  llm::Aliases models;
};

// [models]: aliases, each for a list of models that are tried in order.
Status read_models(const Configuration& configuration, llm::Aliases& models) {
  const auto table = table_of(configuration, "models");
  if (!table) return table.error();
  if (*table == nullptr) return success();
  TableReader reader(configuration.file_path(), "[models]", **table);
  for (const auto& name : reader.keys()) {
    auto& chain = models[name];
    reader.read_list(name, chain);
    if (chain.empty() || chain.size() > 16 || std::count(chain.begin(), chain.end(), "") > 0) {
      reader.fail(name, "`" + name + "` must list 1 to 16 models: " + name +
                            " = [\"groq/llama-3.3-70b\", \"deepseek-r1:1.5b\"]");
    }
  }
  return reader.finish();
}

// The exit code, if the program is to end.
std::optional<int> read_settings(Settings& s, int argc, const char* const* argv) {
  Configuration configuration("Keeps the tasks of a fleet, hands them to agents over MQTT and collects the results.",
                              program);
  configuration.option("broker", s.broker, "the MQTT broker: mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS");
  mqtt::add_tls_options(configuration, s.broker_tls.ca, s.broker_tls.certificate, s.broker_tls.key);
  configuration.option("username", s.username, "user name at the broker");
  configuration.option("password-file", s.password_file, "file with the password at the broker");
  configuration.option("fleet", s.fleet, "name of the fleet");
  configuration.option("data", s.data, "directory of the database and the artifacts");
  configuration.option("listen", s.listen,
                       "HOST:PORT of the HTTP API, an address of this machine only; port 0 selects a free port. Other "
                       "machines need `edgefleet-coordinator setup`, whose addresses count then");
  configuration.flag("allow-remote", s.allow_remote, "removed; see `edgefleet-coordinator setup`")->group("");
  configuration.option("allow-origin", s.allow_origin,
                       "origins whose web pages may use the API from a browser (CORS), separated by commas");
  configuration.flag("take-over", s.take_over,
                     "start although another coordinator works on this fleet, and make that one stop");
  configuration.log_level(s.log_level);
  const auto tasks = CLI::Range(1, 100'000'000);
  const auto mebibytes = CLI::Range(1, 100'000'000);
  configuration
      .option("max-tasks", s.max_tasks, "maximum number of unfinished tasks; beyond it, submits are answered with 429")
      ->check(tasks);
  configuration
      .option("max-input-mb", s.max_input_mb,
              "maximum total size of the inputs, names and conditions of unfinished tasks, in MiB")
      ->check(mebibytes);
  configuration
      .option("max-connections", s.max_connections, "maximum number of HTTP connections; 7 of 8 may wait for an answer")
      ->check(CLI::Range(16, 100'000));
  configuration
      .option("max-waiting-per-access", s.max_waiting_per_access,
              "maximum number of HTTP requests of one access that wait for an answer")
      ->check(CLI::Range(1, 100'000));
  configuration
      .option("max-task-mb", s.max_task_mb,
              "maximum size of the input of a task, and of its output, in MiB; one of more than 252 KiB is an "
              "artifact, so --max-artifact-mb bounds it too")
      ->check(CLI::Range(std::size_t{1}, limits::most_task_bytes >> 20U));
  configuration.option("max-artifact-mb", s.max_artifact_mb, "maximum size of one artifact, in MiB")->check(mebibytes);
  configuration.option("artifact-quota-mb", s.artifact_quota_mb, "maximum total size of all artifacts, in MiB")
      ->check(mebibytes);
  configuration
      .option("keep-ended", s.keep_ended,
              "days to keep a task with an outcome; only time during which a coordinator runs counts")
      ->check(CLI::Range(0.0, 36'500.0));
  configuration
      .option("keep-ended-tasks", s.keep_ended_tasks,
              "maximum number of tasks with an outcome; the oldest are removed first")
      ->check(CLI::Range(0, 1'000'000'000));
  configuration
      .option("keep-ended-mb", s.keep_ended_mb,
              "maximum total size of the inputs and outputs of tasks with an outcome, in MiB; the oldest are removed "
              "first")
      ->check(mebibytes);
  configuration
      .option("keep-free-mb", s.keep_free_mb,
              "disk space that new tasks and uploads leave free, in MiB, but not more than a tenth of the file "
              "system; with less, they are answered with 507")
      ->check(CLI::Range(0, 100'000'000));
  configuration.footer(
      "Each option is also an environment variable (--max-tasks: EDGEFLEET_MAX_TASKS) and a key of the TOML file;\n"
      "flags take precedence over the environment, which takes precedence over the file.\n\n"
      "Examples:\n"
      "  edgefleet-coordinator --data /var/lib/edgefleet\n"
      "  edgefleet-coordinator --broker mqtt://pi-broker:1883 --fleet garden --config "
      "/etc/edgefleet/coordinator.toml\n");
  Maintenance maintenance(configuration, s.data);
  SetupCommand setup(configuration, s.data, s.fleet);
  configuration.allow_table("models");
  if (const auto code = configuration.parse(argc, argv)) return code;
  if (auto read = read_models(configuration, s.models); !read) return wrong_usage(program, read.error().message);
  if (const auto code = setup.run()) return code;
  return maintenance.run();
}

Result<http_server::ListenAddress> read_listen(const Settings& settings) {
  auto address = http_server::parse_listen(settings.listen);
  if (!address) {
    return Error{"--listen: " + address.error().message + "; write 127.0.0.1:7001", ErrorKind::invalid};
  }
  if (settings.allow_remote) {
    return invalid(
        "--allow-remote has been removed: run `edgefleet-coordinator setup` once, after which other machines use this "
        "fleet with a certificate or a key");
  }
  if (!address->loopback()) {
    return invalid(
        "--listen " + settings.listen +
        " can be reached by other machines, and without a setup everybody is the operator: run "
        "`edgefleet-coordinator setup` once; its --people-listen and --agents-listen are for other machines");
  }
  return address;
}

// "https://chat.example.org,http://192.168.1.7:3000"
Result<std::vector<std::string>> read_origins(const std::string& text) {
  std::vector<std::string> origins;
  std::istringstream list(text);
  for (std::string origin; std::getline(list, origin, ',');) {
    static const std::regex form("https?://(\\[[0-9a-fA-F:.]+\\]|[0-9A-Za-z.-]+)(:[0-9]{1,5})?");
    if (origin.size() > 300 || !std::regex_match(origin, form)) {
      return Error{"--allow-origin: \"" + std::string(cut_front(origin, 100)) +
                       "\" is not an origin; write http://HOST:PORT or https://HOST, without a path (* would let every "
                       "page in a browser on this network use the fleet)",
                   ErrorKind::invalid};
    }
    origins.push_back(std::move(origin));
  }
  return origins;
}

Result<Loop::Options> loop_options(const Settings& settings) {
  Loop::Options options;
  const auto fleet = FleetName::parse(settings.fleet);
  if (!fleet) return Error{"--fleet \"" + settings.fleet + "\" is not valid: " + std::string(name_rule)};
  const auto broker = mqtt::parse_address(settings.broker);
  if (!broker) return broker.error();
  if (auto usable = mqtt::check_tls(*broker, settings.broker_tls); !usable) return usable.error();
  options.fleet = *fleet;
  options.broker.broker = settings.broker;
  options.broker.tls = settings.broker_tls;
  options.broker.username = settings.username;
  if (!settings.password_file.empty()) {
    auto password = read_secret(settings.password_file);
    if (!password) return password.error();
    options.broker.password = *password;
  }
  options.take_over = settings.take_over;
  options.policy.most_tasks = settings.max_tasks;
  options.retention.keep = Duration{static_cast<std::int64_t>(settings.keep_ended * 24 * 3600e9)};
  options.retention.most = settings.keep_ended_tasks;
  options.retention.bytes = settings.keep_ended_mb << 20U;
  options.policy.most_bytes = settings.max_input_mb << 20U;
  options.policy.most_file_bytes = settings.artifact_quota_mb << 20U;
  options.policy.max_task_bytes = std::min(settings.max_task_mb, settings.max_artifact_mb) << 20U;
  return options;
}

// Runs periodically, and never blocks the loop.
void collect_artifacts(const std::stop_token& stop, Artifacts& artifacts, Store& store) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stopped.wait_for(lock, stop, std::chrono::minutes(5), [&] { return stop.stop_requested(); })) {
    artifacts.collect_garbage(monotonic_now(), [&](const std::string& id) {
      const auto named = store.reader()->artifact_named(id);
      return !named || *named;  // when in doubt, keep
    });
  }
}

// Who may use the API, by which names.
Gate::Rules gate_rules(const Parts& parts, const std::vector<std::string>& origins) {
  if (parts.closed == nullptr) return {origins, {}, nullptr};
  Gate::Rules rules{origins, {}, &parts.closed->accesses(), &parts.closed->refusals()};
  for (const auto& name : with_local_names(parts.closed->setup().names)) rules.hosts.push_back(in_url(name));
  return rules;
}

http_server::Site site_of(const Parts& parts, const Settings& settings, const std::vector<std::string>& origins) {
  Routes routes;
  add_api(routes, parts);
  llm::add_llm_routes(routes, parts, settings.models);
  const auto router = std::make_shared<const http_server::Router>(std::move(routes));
  const auto gate = std::make_shared<const Gate>(gate_rules(parts, origins));
  return {
      router,
      [gate](const http_server::Request& head, const http_server::Route* route) { return gate->judge(head, route); },
      [router, most = parts.max_task_bytes](http_server::Problem problem, const http_server::ReplyContext& context) {
        if (problem.detail.empty()) {
          problem.detail = explain_unknown(context.method, context.path, router->routes());
        }
        problem.detail += advice_on(problem, context.path, most);
        return refuse(problem, context.path);
      },
      [gate](const http_server::Principal& principal) { return gate->still_allowed(principal); }};
}

// Large bodies and answers go back to the system as soon as they are freed. Otherwise the threshold of the library
// rises to the largest one that was freed, and the heaps of the threads keep such memory.
void give_memory_back() {
  constexpr int large = 512 * 1024;
  mallopt(M_MMAP_THRESHOLD, large);
  mallopt(M_TRIM_THRESHOLD, 2 * large);  // the library's own proportion
}

// Before the store is open, so that two coordinators of one directory do not both change its files.
Result<std::unique_ptr<ClosedFleet>> open_setup(const std::string& data) {
  if (is_set_up(data) && !new_authority_prepared(data)) return ClosedFleet::open(data);
  if (!has_authority(data) && !is_set_up(data)) return std::unique_ptr<ClosedFleet>();
  return Error{"a setup of " + data + " was interrupted; run `edgefleet-coordinator setup --data " + data + "` again"};
}

// Whether that access has sent this artifact, or a task of it names it.
bool knows(Store& store, const Artifacts& artifacts, const std::string& access, const std::string& artifact) {
  if (artifacts.uploaded_by(access, artifact)) return true;
  for (const auto& submitter : {access, present_submitter_of({access, {}})}) {
    const auto named = store.reads().artifact_named_by(artifact, submitter);
    if (named && *named) return true;
  }
  return false;
}

Status run(const Settings& settings, http_server::ListenAddress address, const std::vector<std::string>& origins,
           Loop::Options options) {
  if (restore_unfinished(settings.data)) return unfinished_restore(settings.data);
  auto store = open_sqlite_store(settings.data, [](const std::string& text) { log::info(text); });
  if (!store) return store.error();
  Artifacts::Bounds bounds;
  bounds.file_bytes = settings.max_artifact_mb << 20U;
  bounds.total_bytes = settings.artifact_quota_mb << 20U;
  DiskSpace space(settings.keep_free_mb << 20U, DiskSpace::of_directory(settings.data),
                  [](const std::string& text) { log::warning(text); });
  options.space = &space;
  auto artifacts = Artifacts::open(settings.data, bounds, &space);
  if (!artifacts) return artifacts.error();

  const auto closed = open_setup(settings.data);
  if (!closed) return closed.error();
  LeftWork work;
  std::shared_ptr<http_server::Tls> tls;
  if (*closed) {
    take_setup(options, **closed, work, [&](const std::string& access, const std::string& artifact) {
      return knows(**store, **artifacts, access, artifact);
    });
    if (const auto waiting = (*closed)->enrolment().unknown().size(); waiting > 0) {
      log::warning(std::to_string(waiting) +
                   " agents with a certificate that this data does not know wait for a word: " +
                   "`edgefleet agents unknown` lists them");
    }
    if (const auto seconds = (*closed)->setup().certificate_seconds; seconds > 0) {
      log::warning("certificates live " + std::to_string(seconds) + " seconds, which is for tests only: remove " +
                   "`certificate_seconds` from " + setup_path(settings.data));
    }
    const auto listen = http_server::parse_listen((*closed)->setup().listen);
    if (!listen) return listen.error();
    address = *listen;
    auto loaded = people_tls(**closed);
    if (!loaded) return loaded.error();
    tls = std::move(*loaded);
  }
  Waiters waiters;
  StreamHub hub;
  Loop loop(options, **store, **artifacts, waiters, hub);
  if (auto recovered = loop.recover(); !recovered) return recovered.error();
  events::Journal journal(loop.epoch());
  loop.tell(journal);

  http_server::Bounds http_bounds;
  http_bounds.connections = settings.max_connections;
  LargeOutputs large_outputs;
  WaitBound waiting(settings.max_connections - settings.max_connections / 8, settings.max_waiting_per_access);
  http_server::Server server(http_bounds);
  Parts parts{loop, **store, **artifacts, waiters, hub, journal, waiting, large_outputs, closed->get()};
  parts.max_task_bytes = options.policy.max_task_bytes;
  if (*closed) {
    parts.revoke_agent = revoker(**closed, loop, options.broker);
    parts.try_broker = [&](const std::string& who) { return try_broker(**closed, who); };
    parts.settle_join = join_settler(**closed, loop, options.broker);
  }
  const auto listening = server.listen(address, site_of(parts, settings, origins), tls);
  if (!listening) return listening.error().context("--listen");
  if (*closed) {
    const auto agents = listen_for_agents(server, parts);
    if (!agents) return agents.error().context("the port of agents");
  }
  server.start();
  log::info("edgefleet-coordinator " EDGEFLEET_VERSION " of fleet " + options.fleet.str() + ", HTTP API on " +
            (*closed ? "https://" + in_url((*closed)->setup().names.front()) + ":" + std::to_string(listening->port) +
                           ", agents on " + (*closed)->setup().agents_listen
                     : http_server::url_of(*listening, false) +
                           ", for this machine only; other machines need `edgefleet-coordinator setup`"));

  const Signals signals([&] { loop.request_stop(); });
  const std::jthread collector([&](const std::stop_token& stop) { collect_artifacts(stop, **artifacts, **store); });
  const std::jthread maintainer([&](const std::stop_token& stop) {
    if (*closed) maintain(stop, **closed, loop, options.broker, work);
  });
  const std::jthread guard([&](const std::stop_token& stop) {
    if (*closed) guard_broker(stop, **closed);
  });
  const auto ended = loop.run();
  journal.stop();
  server.stop();
  while (!server.stopped_within(std::chrono::milliseconds(20))) loop.refuse_rest();
  return ended;
}

// It has the key of the fleet's authority in its memory. With a limit of one byte the kernel writes no file, and gives
// no dump to a program either, which a limit of zero does not prevent.
void without_core_dumps() {
  const rlimit none{1, 1};
  setrlimit(RLIMIT_CORE, &none);
}

}  // namespace

int main(int argc, char** argv) {
  umask(077);  // tasks and results are private
  without_core_dumps();
  give_memory_back();
  block_signals();
  Settings settings;
  if (const auto code = read_settings(settings, argc, argv)) return *code;
  if (auto logging = log::start(program, settings.log_level); !logging) {
    return wrong_usage(program, logging.error().message);
  }
  const auto address = read_listen(settings);
  if (!address) return wrong_usage(program, address.error().message);
  const auto origins = read_origins(settings.allow_origin);
  if (!origins) return wrong_usage(program, origins.error().message);
  const auto options = loop_options(settings);
  if (!options) return wrong_usage(program, options.error().message);
  const auto ended = run(settings, *address, *origins, *options);
  return ended ? 0 : give_up(program, ended.error().message);
}
