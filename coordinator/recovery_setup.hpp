// The part of setup that makes the fleet's recovery key.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

struct RecoveryWish {
  std::string file;    // where the secret half is written; empty: it is shown on the terminal
  bool again = false;  // another one, although there is one
};

// Shows or writes the secret half once, and only then keeps the public half, so that after a kill there is never a
// public half whose secret nobody has got. Without a file and a terminal none is made, which is said loudly.
Status make_recovery_key(const std::string& data, const RecoveryWish& wish);

}  // namespace edgefleet::coordinator
