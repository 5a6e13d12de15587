// Machines that ask to join without a token, and wait for a person. In memory: a request that a restart forgets is made
// again.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/time.hpp"
#include "common/join/messages.hpp"
#include "common/pki/key.hpp"
#include "coordinator/access/enrolment.hpp"

namespace edgefleet::coordinator {

// Any thread; never waits.
class JoinRequests {
 public:
  static constexpr std::size_t most = 100;
  static constexpr std::size_t most_of_source = 5;  // an address, or a network of IPv6 (its first 64 bits)
  static constexpr Duration patience = std::chrono::hours(1);
  static constexpr Duration opening_patience = std::chrono::seconds(30);  // a machine opens its request at once
  // Of those that are not opened, which take no place from those that wait: the oldest of whoever has most of them
  // ends.
  static constexpr std::size_t most_unopened = 100;
  static constexpr int most_wrong_codes = 3;  // in a row; then everything that waits is refused

  explicit JoinRequests(const pki::Certificate& ca) : ca_pem_(ca.pem()), ca_sha256_(ca.fingerprint()) {}

  struct Waiting {};
  struct Refused {};
  using Answer = std::variant<Waiting, Refused, EnrolledAgent>;

  // Errors: busy (too many wait).
  Result<join::Challenge> begin(const std::string& address, join::Commitment commitment, Time now);
  // Errors: not_found, conflict (it was opened before), invalid (it is not what was committed to: the request ends).
  Status open(const std::string& id, const join::Opening& opening, Time now);
  // Errors: not_found: also after an hour.
  Result<Answer> look(const std::string& id, Time now);

  struct Listed {
    std::string name;
    std::string address;
    std::string machine;
    Duration age{};
  };
  [[nodiscard]] std::vector<Listed> waiting(Time now);  // the oldest first, without codes

  struct Asking {
    std::string id;
    pki::PublicKey key;
    join::Machine machine;
  };
  // The one request that shows this code. Errors: invalid (it is no code), not_found.
  Result<Asking> find(const std::string& code, Time now);
  void accept(const std::string& id, EnrolledAgent agent);
  void refuse(const std::string& id);

 private:
  struct One {
    std::string address;
    std::string source;  // the address, or its network
    join::Machine machine;
    std::string commitment;
    std::string nonce;
    Time at{};
    std::optional<pki::PublicKey> key;  // once it was opened
    std::string code;
    Answer answer = Waiting{};
  };
  void forget_old(Time now);
  [[nodiscard]] bool has_room(const std::string& source) const;
  void end_unopened(const std::string& source);

  const std::string ca_pem_;
  const std::string ca_sha256_;
  std::mutex mutex_;
  std::map<std::string, One> all_;
  int wrong_codes_ = 0;
};

}  // namespace edgefleet::coordinator
