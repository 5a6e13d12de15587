#include "common/system/entropy.hpp"

#include <random>

namespace edgefleet {

std::uint64_t random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

SessionId new_session_id() { return *SessionId::parse(Ulid{random_seed() >> 3U, random_seed()}.str()); }

}  // namespace edgefleet
