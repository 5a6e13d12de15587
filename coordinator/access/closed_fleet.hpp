// A fleet after `edgefleet-coordinator setup`: its authority, accesses, agents and requests to join, and the broker's
// files, which follow every change.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/access/broker_acts.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/broker_generation.hpp"
#include "coordinator/access/broker_state.hpp"
#include "coordinator/access/enrolment.hpp"
#include "coordinator/access/join_requests.hpp"
#include "coordinator/access/refusals.hpp"
#include "coordinator/access/registry.hpp"
#include "coordinator/access/setup_files.hpp"

namespace edgefleet::coordinator {

// Any thread.
class ClosedFleet {
 public:
  // `directory`: where setup has been run. The database is opened, certificates that are due are renewed.
  static Result<std::unique_ptr<ClosedFleet>> open(const std::string& directory);
  ClosedFleet(const ClosedFleet&) = delete;
  ClosedFleet& operator=(const ClosedFleet&) = delete;
  ClosedFleet(ClosedFleet&&) = delete;
  ClosedFleet& operator=(ClosedFleet&&) = delete;
  ~ClosedFleet() = default;

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const Setup& setup() const { return setup_; }
  [[nodiscard]] const pki::Authority& authority() const { return authority_; }
  [[nodiscard]] Registry& accesses() { return *accesses_; }
  [[nodiscard]] Enrolment& enrolment() { return *enrolment_; }
  [[nodiscard]] JoinRequests& join_requests() { return join_requests_; }
  [[nodiscard]] Refusals& refusals() { return refusals_; }

  // The list of revoked certificates, PEM.
  [[nodiscard]] Result<std::string> crl() const;
  // Takes over a list of this authority that has a higher number, from a time after the data that was restored: nobody
  // who was revoked is let in again. The names of the agents that are revoked by it; publish() tells the broker.
  // Errors: it is no list, or of another authority.
  Result<std::vector<std::string>> unite(const std::string& crl_pem);
  // As the broker's files have it; another object whenever it is another list. Never waits.
  [[nodiscard]] std::shared_ptr<const std::string> published_list() const;
  // Writes the broker's files if they differ from those that it has; the broker takes them within a second or two.
  // Call after each change of accesses and agents. Returns the id of the generation. May wait for a disk.
  Result<std::string> publish();
  // What mosquitto/watch.sh reports about the broker.
  [[nodiscard]] BrokerState broker_state() const { return read_broker_state(setup_.broker_run); }
  // Blocks until the broker works with this generation, or a later one. Error: not within `patience`.
  [[nodiscard]] Status await_broker(const std::string& generation, Duration patience) const;
  // People who are at the broker and nowhere else, for as long as a trial takes; publish() tells the broker.
  void set_guests(std::vector<Person> guests);
  // One trial at a time; no value: another one is at work.
  [[nodiscard]] std::optional<std::unique_lock<std::mutex>> turn_to_try();
  // What the last try of what the broker must refuse has found, that of each minute or a whole trial.
  void note_trial(const BrokerTrial& found);
  [[nodiscard]] std::optional<BrokerTrial> last_trial() const;
  // Every maintenance_pause(): what has ended and what is due. The names of the certificates that are new.
  Result<std::vector<std::string>> maintain();
  [[nodiscard]] Duration maintenance_pause() const;
  // Into the audit; returns how many they were.
  Result<std::uint64_t> write_refusals();

 private:
  ClosedFleet(std::string directory, Setup setup, pki::Authority authority, std::unique_ptr<AccessDatabase> database);
  [[nodiscard]] Result<BrokerTexts> broker_texts() const;

  std::string directory_;
  Setup setup_;
  pki::Authority authority_;
  std::unique_ptr<AccessDatabase> database_;
  std::unique_ptr<Registry> accesses_;
  std::unique_ptr<Enrolment> enrolment_;
  JoinRequests join_requests_;
  Refusals refusals_;
  std::mutex publishing_;
  std::mutex trying_;
  mutable std::mutex trial_mutex_;
  std::vector<Person> guests_;
  std::optional<BrokerTrial> last_trial_;
  mutable std::mutex list_mutex_;
  std::shared_ptr<const std::string> list_;
};

}  // namespace edgefleet::coordinator
