#include "common/protocol/topics.hpp"

#include <algorithm>

namespace edgefleet::protocol {
namespace {

std::vector<std::string_view> levels(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t slash = text.find('/'); slash != std::string_view::npos; slash = text.find('/', begin)) {
    parts.push_back(text.substr(begin, slash - begin));
    begin = slash + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

template <typename N>
bool read_name(N& into, std::string_view text) {
  auto name = N::parse(text);
  if (!name) return false;
  into = std::move(*name);
  return true;
}

// Some brokers take a dot in a level for a slash. A capability has no `_` of its own.
std::string level_of(const Capability& capability) {
  std::string level = capability.str();
  std::ranges::replace(level, '.', '_');
  return level;
}

bool read_capability(Capability& into, std::string_view level) {
  if (level.find('.') != std::string_view::npos) return false;
  std::string text(level);
  std::ranges::replace(text, '_', '.');
  return read_name(into, text);
}

bool match(std::string_view pattern, std::string_view level, Topic& topic) {
  if (pattern == "{agent}") return read_name(topic.agent, level);
  if (pattern == "{capability}") return read_capability(topic.capability, level);
  if (pattern == "{client}") return read_name(topic.client, level);
  if (pattern == "#") return true;
  return pattern == level;
}

std::string fill(std::string_view pattern, const Topic& topic) {
  const auto or_any = [](const std::string& name) { return name.empty() ? std::string("+") : name; };
  if (pattern == "{agent}") return or_any(topic.agent.str());
  if (pattern == "{capability}") return or_any(level_of(topic.capability));
  if (pattern == "{client}") return or_any(topic.client.str());
  return std::string(pattern);
}

}  // namespace

const std::vector<TopicRule>& topic_rules() {
  static const std::vector<TopicRule> rules{
      {TopicKind::agent_status, "agents/{agent}/status", 1, true},
      {TopicKind::agent_info, "agents/{agent}/info", 1, true},
      {TopicKind::heartbeat, "agents/{agent}/heartbeat", 0, false},
      {TopicKind::temperature, "agents/{agent}/temperature", 0, true},
      {TopicKind::parameters, "agents/{agent}/parameters", 1, false},
      {TopicKind::tasks, "tasks/{capability}/{agent}", 1, false},
      {TopicKind::results, "results/{agent}", 1, false},
      {TopicKind::stream, "streams/{agent}", 0, false},
      {TopicKind::control, "control/{agent}", 1, false},
      {TopicKind::coordinator_status, "coordinator/status", 1, true},
      {TopicKind::coordinator_beat, "coordinator/beat", 0, false},
      {TopicKind::coordinator_crl, "coordinator/crl", 1, true},
      {TopicKind::submit, "submit/{client}", 1, false},
      {TopicKind::reply, "replies/{client}/#", 1, false},
  };
  return rules;
}

const TopicRule& rule(TopicKind kind) { return topic_rules().at(static_cast<std::size_t>(kind)); }

Topics::Topics(const FleetName& fleet) : root_("edgefleet/v1/" + fleet.str() + "/") {}

std::string Topics::build(const Topic& topic) const {
  std::string text = root_;
  bool first = true;
  for (const auto pattern : levels(rule(topic.kind).pattern)) {
    if (!first) text += '/';
    first = false;
    text += fill(pattern, topic);
  }
  return text;
}

std::string Topics::filter(std::string_view pattern, std::string_view name) const {
  std::string text = root_;
  for (const auto level : levels(pattern)) {
    if (text.size() > root_.size()) text += '/';
    if (level == "{agent}" || level == "{client}") {
      text += name;
    } else {
      text += level == "{capability}" ? "+" : level;
    }
  }
  return text;
}

std::optional<Topic> Topics::parse(std::string_view text) const {
  if (text.substr(0, root_.size()) != root_) return std::nullopt;
  const auto parts = levels(text.substr(root_.size()));
  for (const auto& candidate : topic_rules()) {
    const auto patterns = levels(candidate.pattern);
    const bool open_ended = patterns.back() == "#";
    if (open_ended ? parts.size() < patterns.size() : parts.size() != patterns.size()) continue;
    Topic topic{candidate.kind, {}, {}, {}};
    if (std::equal(patterns.begin(), patterns.end(), parts.begin(),
                   [&](auto pattern, auto level) { return match(pattern, level, topic); })) {
      return topic;
    }
  }
  return std::nullopt;
}

}  // namespace edgefleet::protocol
