#include "coordinator/access/broker_grants.hpp"

#include <initializer_list>

#include "common/protocol/topics.hpp"

namespace edgefleet::coordinator {
namespace {

using protocol::rule;
using protocol::TopicKind;

const Grants& observing() {
  static const Grants grants{{"read", protocol::everything_of_agents},
                             {"read", rule(TopicKind::coordinator_status).pattern},
                             {"read", protocol::coordinator_summary},
                             {"read", protocol::fleet_events}};
  return grants;
}
const Grants& submitting() {
  static const Grants grants{{"write", rule(TopicKind::submit).pattern}, {"read", rule(TopicKind::reply).pattern}};
  return grants;
}
const Grants& operating() {
  static const Grants grants{{"write", protocol::operate}};
  return grants;
}
const Grants& reading_all() {
  static const Grants grants{{"read", protocol::everything}};
  return grants;
}

}  // namespace

const Grants& agents_grants() {
  static const Grants all = [] {
    Grants grants;
    for (const TopicKind kind : {TopicKind::agent_status, TopicKind::agent_info, TopicKind::heartbeat,
                                 TopicKind::temperature, TopicKind::parameters, TopicKind::results, TopicKind::stream})
      grants.push_back({"write", rule(kind).pattern});
    for (const TopicKind kind : {TopicKind::tasks, TopicKind::control, TopicKind::agent_status,
                                 TopicKind::coordinator_status, TopicKind::coordinator_crl})
      grants.push_back({"read", rule(kind).pattern});
    return grants;
  }();
  return all;
}

const Grants& watch_grants() {
  static const Grants all = [] {
    const std::string_view status = rule(TopicKind::coordinator_status).pattern;
    Grants grants;
    for (const Grant& one : agents_grants()) {
      if (one.pattern != status) grants.push_back({"deny", one.pattern});
    }
    grants.push_back({"read", status});
    grants.push_back({"read", rule(TopicKind::coordinator_beat).pattern});
    return grants;
  }();
  return all;
}

Grants grants_of(Role role) {
  const auto all = [](std::initializer_list<const Grants*> parts) {
    Grants grants;
    for (const Grants* part : parts) grants.insert(grants.end(), part->begin(), part->end());
    return grants;
  };
  switch (role) {
    case Role::observe:
      return all({&observing()});
    case Role::chat:  // which capabilities it may name is checked in the payload
    case Role::submit:
      return all({&submitting()});
    case Role::operate:
      return all({&observing(), &submitting(), &operating()});
    case Role::admin:
      return all({&observing(), &submitting(), &reading_all()});
  }
  return {};
}

}  // namespace edgefleet::coordinator
