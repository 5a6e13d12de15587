#include "edge-agent/shell/own_name.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/core/overloaded.hpp"
#include "common/files/durable_write.hpp"
#include "common/files/text_digest.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"
#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "edge-agent/sensors/machine.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;
using protocol::TopicKind;

constexpr std::size_t identity_digits = 16;
constexpr std::size_t longest_name = 63;
constexpr std::size_t longest_suffix = 9;

std::string kept_path(const std::string& work) { return work + "/name"; }

AgentName with_suffix(const AgentName& wanted, const std::string& suffix) {
  std::string base = wanted.str().substr(0, longest_name - longest_suffix);
  while (base.ends_with('-')) base.pop_back();
  return AgentName::parse(base + "-" + suffix).value_or(wanted);
}

bool live(const AgentStatus& status) { return status.state != AgentState::offline && status.state != AgentState::lost; }

}  // namespace

std::string machine_identity(const std::string& work) {
  std::error_code failure;
  const std::string source = machine_serial() + '\n' + fs::weakly_canonical(work, failure).string();
  return text_digest(source).substr(0, identity_digits);
}

// ---- the choice

NameChoice::NameChoice(std::string identity, AgentName wanted, std::optional<AgentName> earlier)
    : identity_(std::move(identity)) {
  if (earlier) candidates_.push_back(*earlier);
  for (const auto& name : {wanted, with_suffix(wanted, identity_.substr(0, 4)),
                           with_suffix(wanted, identity_.substr(0, longest_suffix - 1))}) {
    if (!earlier || name != *earlier) candidates_.push_back(name);
  }
}

void NameChoice::seen(const AgentName& name, AgentStatus status) { seen_[name].status = std::move(status); }

void NameChoice::seen(const AgentName& name, const AgentInfo& info) {
  seen_[name].session = info.session;
  seen_[name].machine = info.machine;
}

// A status may outlive its agent by a crash of the broker; then the info tells whether it was ours.
NameChoice::Finding NameChoice::finding(const AgentName& name) const {
  const auto found = seen_.find(name);
  if (found == seen_.end() || !found->second.status) return Finding::unknown;
  const Seen& seen = found->second;
  if (!live(*seen.status)) return Finding::free;
  if (seen.session != seen.status->session || seen.machine.empty()) return Finding::unknown;
  return seen.machine == identity_ ? Finding::free : Finding::taken;
}

std::optional<AgentName> NameChoice::choice(bool settled) const {
  for (const AgentName& name : candidates_) {
    switch (finding(name)) {
      case Finding::free:
        return name;
      case Finding::unknown:
        return settled ? std::optional(name) : std::nullopt;
      case Finding::taken:
        break;
    }
  }
  return candidates_.back();
}

// ---- the choice of earlier runs

std::optional<AgentName> read_kept_name(const std::string& work, const std::string& wanted,
                                        const std::string& identity) {
  std::ifstream file(kept_path(work), std::ios::binary);
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  auto fields = json::Fields::untrusted(text);
  if (fields.string("wanted") != wanted || fields.string("identity") != identity) return std::nullopt;
  return fields.name<AgentName>("name", name_rule);
}

Status keep_name(const std::string& work, const KeptName& kept) {
  std::string text;
  {
    json::ObjectWriter object(text);
    object.string("name", kept.name.str());
    object.string("wanted", kept.wanted);
    object.string("identity", kept.identity);
  }
  const std::string path = kept_path(work), temporary = path + ".new";
  std::error_code failure;
  fs::remove(temporary, failure);
  std::ofstream file(temporary, std::ios::binary);
  file << text << '\n';
  file.close();
  if (!file) return disk_error("cannot write " + temporary);
  if (auto synced = sync_file(temporary); !synced) return synced;
  return rename_durably(temporary, path);
}

// ---- asking the broker

NameCheck::NameCheck(Options options)
    : options_(std::move(options)),
      identity_(machine_identity(options_.work)),
      earlier_(read_kept_name(options_.work, options_.wanted.str(), identity_)),
      choice_(identity_, options_.wanted, earlier_),
      topics_(options_.fleet),
      session_(random_seed()),
      began_(monotonic_now()) {}

Result<std::optional<AgentName>> NameCheck::run() {
  options_.broker.client_id = "edgefleet-" + options_.fleet.str() + "-naming-" + new_session_id().str();
  auto client =
      options_.make_client(options_.broker, [this](mqtt::ClientEvent event) { inbox_.offer(std::move(event)); });
  if (!client) return client.error();
  client_ = std::move(*client);
  perform(session_.start(monotonic_now()));
  for (auto name = chosen(); !name; name = chosen()) {
    for (const auto& item : inbox_.drain(monotonic_now() + std::chrono::milliseconds(100))) {
      if (std::holds_alternative<StopAsked>(item)) return std::optional<AgentName>();
      const auto& event = std::get<mqtt::ClientEvent>(item);
      if (const auto* received = std::get_if<mqtt::Received>(&event)) take(received->message);
      perform(session_.on(event, monotonic_now()));
    }
    perform(session_.tick(monotonic_now()));
  }
  client_->disconnect(std::chrono::seconds(1));
  client_.reset();
  return conclude(*chosen());
}

std::optional<AgentName> NameCheck::chosen() const {
  const Time now = monotonic_now();
  if (session_.up()) return choice_.choice(settled_at_ && now >= *settled_at_);
  return earlier_ && now - began_ >= options_.patience ? earlier_ : std::nullopt;
}

void NameCheck::take(const mqtt::Message& message) {
  const auto topic = topics_.parse(message.topic);
  if (!topic || message.payload.empty() || message.payload.size() > limits::payload_bytes) return;
  if (topic->kind == TopicKind::agent_status) {
    if (auto status = protocol::decode_agent_status(message.payload)) choice_.seen(topic->agent, *status);
  } else if (topic->kind == TopicKind::agent_info) {
    if (auto info = protocol::decode_agent_info(message.payload)) choice_.seen(topic->agent, info->info);
  }
}

void NameCheck::subscribe() {
  std::vector<mqtt::Subscription> topics;
  for (const AgentName& name : choice_.candidates()) {
    for (const auto kind : {TopicKind::agent_status, TopicKind::agent_info}) {
      topics.push_back({topics_.build({kind, name, {}, {}}), 1});
    }
  }
  client_->subscribe(topics);
}

void NameCheck::perform(const mqtt::Actions& actions) {
  for (const auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) { client_->connect(); },
                   [&](const mqtt::DoSubscribe&) { subscribe(); },
                   [&](const mqtt::TellUp&) { settled_at_ = monotonic_now() + options_.settle; },
                   [&](const mqtt::TellDown&) { settled_at_.reset(); },
                   [&](const mqtt::TellTrouble& trouble) {
                     log::warning("broker " + options_.broker.broker + ": " + trouble.reason);
                   },
                   [](const mqtt::DoSend&) {},
                   [](const mqtt::TellRefused&) {},
               },
               action);
  }
}

Result<std::optional<AgentName>> NameCheck::conclude(const AgentName& name) const {
  if (name == earlier_) {
    if (name != options_.wanted) log::info("this agent is " + name.str() + ", as in its earlier runs");
    return std::optional(name);
  }
  if (name != options_.wanted) {
    log::warning("another agent has the name " + (earlier_ ? *earlier_ : options_.wanted).str() + ": this agent is " +
                 name.str() + "; --name gives it another one");
  }
  if (auto kept = keep_name(options_.work, {options_.wanted.str(), identity_, name}); !kept) return kept.error();
  return std::optional(name);
}

}  // namespace edgefleet::agent
