// Bounds the requests that wait for an answer at a time, of all and of one access; the other connections stay free for
// other requests. A place is given or refused at once, and released by its destructor.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

// Any thread.
class WaitBound {
 public:
  static constexpr std::size_t usual_of_one = 512;

  WaitBound(std::size_t most, std::size_t most_of_one) : most_(most), most_of_one_(most_of_one) {}

 private:
  friend class BoundedPlace;

  // No value: it has a place.
  std::optional<Error> take(const std::string& client) {
    const std::lock_guard lock(mutex_);
    if (taken_ >= most_) {
      return Error{std::to_string(most_) + " requests are waiting already; try again later, or ask without `wait`",
                   ErrorKind::unavailable};
    }
    if (!client.empty()) {
      const auto own = by_client_.try_emplace(client, 0).first;
      if (own->second >= most_of_one_) {
        return Error{std::to_string(own->second) + " requests of the access " + client +
                         " are waiting for an answer already, the maximum is " + std::to_string(most_of_one_) +
                         " (--max-waiting-per-access of the coordinator); try again when one of them has its answer",
                     ErrorKind::busy};
      }
      ++own->second;
    }
    ++taken_;
    return std::nullopt;
  }
  void leave(const std::string& client) {
    const std::lock_guard lock(mutex_);
    --taken_;
    const auto own = by_client_.find(client);
    if (own != by_client_.end() && --own->second == 0) by_client_.erase(own);
  }

  const std::size_t most_;
  const std::size_t most_of_one_;
  std::mutex mutex_;
  std::size_t taken_ = 0;
  std::unordered_map<std::string, std::size_t> by_client_;  // of taken_
};

class BoundedPlace {
 public:
  // `client`: whose bound counts too; empty: nobody's.
  BoundedPlace(WaitBound& bound, std::string client)
      : bound_(bound), client_(std::move(client)), refusal_(bound.take(client_)) {}
  BoundedPlace(const BoundedPlace&) = delete;
  BoundedPlace& operator=(const BoundedPlace&) = delete;
  BoundedPlace(BoundedPlace&&) = delete;
  BoundedPlace& operator=(BoundedPlace&&) = delete;
  ~BoundedPlace() {
    if (!refusal_) bound_.leave(client_);
  }
  [[nodiscard]] const std::optional<Error>& refusal() const { return refusal_; }  // no value: it is granted

 private:
  WaitBound& bound_;
  const std::string client_;
  const std::optional<Error> refusal_;
};

}  // namespace edgefleet::coordinator
