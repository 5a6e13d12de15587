#include "coordinator/access/broker_acts.hpp"

#include <algorithm>

#include "common/protocol/topics.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/broker_grants.hpp"

namespace edgefleet::coordinator {
namespace {

using protocol::Topics;

Grants grants_of(const Actor& actor) { return actor.role ? grants_of(*actor.role) : agents_grants(); }

// As a broker compares them, level by level.
bool matches(std::string_view filter, std::string_view topic) {
  for (;;) {
    const auto filter_end = std::min(filter.find('/'), filter.size());
    const auto topic_end = std::min(topic.find('/'), topic.size());
    const std::string_view level = filter.substr(0, filter_end);
    if (level == "#") return true;
    if (level != "+" && level != topic.substr(0, topic_end)) return false;
    const bool filter_over = filter_end == filter.size();
    const bool topic_over = topic_end == topic.size();
    if (filter_over || topic_over) return filter_over && topic_over;
    filter.remove_prefix(filter_end + 1);
    topic.remove_prefix(topic_end + 1);
  }
}

bool granted(const Topics& topics, const Actor& actor, std::string_view access, std::string_view topic) {
  return std::ranges::any_of(grants_of(actor), [&](const Grant& one) {
    return one.access == access && matches(topics.filter(one.pattern, actor.name), topic);
  });
}

// A filter as a topic: nobody offers the capability `none`, or reads a topic of that name.
std::string as_topic(std::string filter) {
  for (auto at = filter.find_first_of("+#"); at != std::string::npos; at = filter.find_first_of("+#"))
    filter.replace(at, 1, "none");
  return filter;
}

}  // namespace

std::string describe(const Actor& actor) {
  return actor.role ? "the role " + std::string(to_string(*actor.role)) : "an agent";
}

std::vector<std::string> forbidden_topics(const FleetName& fleet, const Actor& actor, const std::string& other) {
  const Topics topics(fleet);
  const CanaryTopics canary = canary_topics(fleet);
  std::vector<std::string> all{canary.of_agent, canary.of_person, topics.root() + "agents/" + actor.name + "/none"};
  const auto add = [&](std::string_view pattern) {
    for (const std::string& name : {actor.name, other}) all.push_back(as_topic(topics.filter(pattern, name)));
  };
  for (const auto& rule : protocol::topic_rules()) add(rule.pattern);
  for (const auto pattern : {protocol::coordinator_summary, protocol::fleet_events, protocol::operate}) add(pattern);
  std::ranges::sort(all);
  const auto [repeated, end] = std::ranges::unique(all);
  all.erase(repeated, end);
  std::erase_if(all, [&](const std::string& topic) { return granted(topics, actor, "write", topic); });
  return all;
}

std::vector<std::string> own_topics(const FleetName& fleet, const Actor& actor) {
  const Topics topics(fleet);
  std::vector<std::string> own;
  for (const Grant& one : grants_of(actor)) {
    if (one.access == "write") own.push_back(topics.filter(one.pattern, actor.name));
  }
  return own;
}

std::vector<std::string> greedy_filters(const FleetName& fleet) {
  const std::string root = Topics(fleet).root();
  return {"#", root + "#", "+/+/+/#", "$share/none/" + root + "#", root + "+/+", root + "agents/+/status"};
}

bool may_read(const FleetName& fleet, const Actor& actor, std::string_view topic) {
  return granted(Topics(fleet), actor, "read", topic);
}

}  // namespace edgefleet::coordinator
