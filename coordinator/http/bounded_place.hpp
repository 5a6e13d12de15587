// A counting semaphore without waiting: one of at most `most` places, released by the destructor.
#pragma once

#include <atomic>
#include <cstddef>

namespace edgefleet::coordinator {

class BoundedPlace {
 public:
  BoundedPlace(std::atomic<std::size_t>& taken, std::size_t most) : taken_(taken), granted_(++taken <= most) {}
  BoundedPlace(const BoundedPlace&) = delete;
  BoundedPlace& operator=(const BoundedPlace&) = delete;
  BoundedPlace(BoundedPlace&&) = delete;
  BoundedPlace& operator=(BoundedPlace&&) = delete;
  ~BoundedPlace() { --taken_; }
  [[nodiscard]] bool granted() const { return granted_; }

 private:
  std::atomic<std::size_t>& taken_;
  bool granted_;
};

}  // namespace edgefleet::coordinator
