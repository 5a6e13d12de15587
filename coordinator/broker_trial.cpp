#include "coordinator/broker_trial.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/mqtt/paho_client.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/broker_canaries.hpp"
#include "coordinator/shell/brief_client.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration turn_patience = std::chrono::seconds(10);
constexpr Duration between_looks = std::chrono::milliseconds(50);
constexpr Duration files_patience = std::chrono::seconds(10);
constexpr Duration answer_patience = std::chrono::seconds(3);
constexpr Duration whole_patience = std::chrono::seconds(15);  // for the acts; a request has 30 s
constexpr int not_authorized = 135;
constexpr const char* meaningless = "a trial of edgefleet doctor";
constexpr std::array roles = {Role::observe, Role::chat, Role::submit, Role::operate, Role::admin};

// Somebody at the broker: as whom, and with what.
struct Player {
  Actor actor;
  mqtt::Options options;
  std::unique_ptr<BriefClient> client{};
};

class Trial {
 public:
  Trial(const ClosedFleet& closed, std::vector<Player>& players) : closed_(closed), players_(players) {}

  BrokerTrial run() {
    found_.at = wall_now();
    try_canaries();
    for (Player& player : players_) connect(player);
    read();
    for (Player& player : players_) write(player);
    return std::move(found_);
  }

 private:
  [[nodiscard]] const FleetName& fleet() const { return closed_.setup().fleet; }
  [[nodiscard]] bool is_late() const { return monotonic_now() >= until_; }

  static void note(std::vector<std::string>& list, const std::string& text) {
    if (list.size() < most_findings && std::ranges::find(list, text) == list.end()) list.push_back(text);
  }

  void try_canaries() {
    const auto all = broker_canaries(closed_);
    if (!all) return note(found_.unknown, all.error().message);
    for (const Canary& canary : *all) {
      ++found_.tried;
      const auto end = try_canary(canary, mqtt::make_paho_client, canary_patience);
      if (end == CanaryEnd::passed) note(found_.passes, canary.what);
      if (end == CanaryEnd::unknown) note(found_.unknown, "whether " + canary.what);
    }
  }

  // False: the broker has not let it in, or has thrown it out again and does not let it back.
  bool connect(Player& player) {
    player.client = std::make_unique<BriefClient>(player.options);
    const auto connected = player.client->connect_surely(mqtt::make_paho_client, answer_patience);
    if (connected) return true;
    player.client.reset();
    note(found_.unknown, describe(player.actor) + " cannot connect: " + connected.error().message);
    return false;
  }

  // The second agent writes what it may; who of the others gets it? What the broker has kept comes too.
  void read() {
    for (Player& player : players_) {
      for (const auto& filter : greedy_filters(fleet())) {
        // A refusal is as good as a grant that delivers nothing.
        if (player.client) (void)player.client->subscribe(filter, answer_patience);
      }
    }
    Player& writer = players_.at(1);
    for (const auto& topic : own_topics(fleet(), writer.actor)) {
      if (writer.client && !is_late()) (void)writer.client->publish(message(topic), answer_patience);
    }
    for (Player& player : players_) {
      if (!player.client) continue;
      // All that was sent before this answer has come.
      (void)player.client->subscribe(greedy_filters(fleet()).front(), answer_patience);
      ++found_.tried;
      for (const auto& topic : player.client->received()) {
        if (!may_read(fleet(), player.actor, topic)) note(found_.passes, describe(player.actor) + " may read " + topic);
      }
    }
  }

  void write(Player& player) {
    const std::string other = player.actor.role ? "none" : std::string(trial_agents[1]);
    for (const auto& topic : forbidden_topics(fleet(), player.actor, other)) {
      if (is_late()) return note(found_.unknown, "the broker is too slow to try all");
      if (!player.client || (player.client->lost() && !connect(player))) return;
      ++found_.tried;
      const auto delivered = player.client->publish(message(topic), answer_patience);
      const std::string what = describe(player.actor) + " may write " + topic;
      if (delivered && delivered->ok) {
        note(found_.passes, what);
      } else if (!delivered || delivered->code != not_authorized) {
        note(found_.unknown, "whether " + what);
      }
    }
  }

  static mqtt::Message message(const std::string& topic) {
    mqtt::Message one;
    one.topic = topic;
    one.payload = meaningless;
    one.qos = 1;
    return one;
  }

  const ClosedFleet& closed_;
  std::vector<Player>& players_;
  BrokerTrial found_;
  Time until_ = monotonic_now() + whole_patience;
};

// People who have a line in the broker's files only.
class Guests {
 public:
  explicit Guests(ClosedFleet& closed) : closed_(closed) {}
  Guests(const Guests&) = delete;
  Guests& operator=(const Guests&) = delete;
  Guests(Guests&&) = delete;
  Guests& operator=(Guests&&) = delete;
  ~Guests() {
    closed_.set_guests({});
    (void)closed_.publish();  // the next maintenance does it, if this fails
  }

  Status add(std::vector<Player>& players) {
    const std::string id = make_secret("").id;
    std::vector<Person> people;
    for (const Role role : roles) {
      const std::string name = "canary-" + id + "-" + std::string(to_string(role));
      const std::string key = make_secret(access_prefix).text;
      auto password = salted_password(key);
      if (!password) return password.error();
      people.push_back({*ClientName::parse(name), role, std::move(*password), false});
      mqtt::Options options = at_people_listener(closed_.setup(), closed_.directory());
      options.client_id = options.username = name;
      options.password = key;
      players.push_back({{name, role}, std::move(options)});
    }
    closed_.set_guests(std::move(people));
    const auto published = closed_.publish();
    if (!published) return published.error();
    return closed_.await_broker(*published, files_patience);
  }

 private:
  ClosedFleet& closed_;
};

// The coordinator's own tries take a second or two, and come each minute and after each change.
std::optional<std::unique_lock<std::mutex>> await_turn(ClosedFleet& closed) {
  const Time until = monotonic_now() + turn_patience;
  for (;;) {
    auto turn = closed.turn_to_try();
    if (turn || monotonic_now() >= until) return turn;
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace

Result<BrokerTrial> try_broker(ClosedFleet& closed, const std::string& who) {
  const auto turn = await_turn(closed);
  if (!turn) return Error{"the broker is being tried already; try again in some seconds", ErrorKind::busy};
  if (auto noted = closed.accesses().database().audit({wall_now(), who, "broker.try", "what it must refuse"}); !noted)
    return noted.error();
  std::vector<Player> players;
  std::vector<BriefCertificate> certificates;
  for (const auto name : trial_agents) {
    auto certificate = BriefCertificate::make(closed, std::string(name));
    if (!certificate) return certificate.error();
    mqtt::Options options = at_agents_listener(closed.setup(), closed.directory());
    options.client_id = name;
    certificate->use(options);
    certificates.push_back(std::move(*certificate));
    players.push_back({{std::string(name), std::nullopt}, std::move(options)});
  }
  Guests guests(closed);
  if (auto added = guests.add(players); !added) return added.error();
  BrokerTrial found = Trial(closed, players).run();
  closed.note_trial(found);
  players.clear();  // before their lines are removed
  return found;
}

}  // namespace edgefleet::coordinator
