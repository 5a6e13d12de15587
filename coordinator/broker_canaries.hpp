// As whom the coordinator tries a closed fleet's broker, and what the broker must refuse each minute.
#pragma once

#include <string>
#include <vector>

#include "common/mqtt/port.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/shell/canary.hpp"

namespace edgefleet::coordinator {

inline constexpr Duration canary_patience = std::chrono::seconds(5);

// How the broker's two listeners are reached from here, without a credential.
mqtt::Options at_agents_listener(const Setup& setup, const std::string& directory);
mqtt::Options at_people_listener(const Setup& setup, const std::string& directory);

Result<std::vector<Canary>> broker_canaries(const ClosedFleet& closed);

// An agent's certificate for a minute, in files that are removed with this object.
class BriefCertificate {
 public:
  static Result<BriefCertificate> make(const ClosedFleet& closed, const std::string& agent);
  BriefCertificate(const BriefCertificate&) = delete;
  BriefCertificate& operator=(const BriefCertificate&) = delete;
  BriefCertificate(BriefCertificate&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  BriefCertificate& operator=(BriefCertificate&&) = delete;
  ~BriefCertificate();

  void use(mqtt::Options& options) const;

 private:
  explicit BriefCertificate(std::string path) : path_(std::move(path)) {}
  std::string path_;  // without .crt and .key
};

}  // namespace edgefleet::coordinator
