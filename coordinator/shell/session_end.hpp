// Ends the session of somebody else at the broker, by taking over its client id.
#pragma once

#include "common/mqtt/port.hpp"

namespace edgefleet::coordinator {

// `options`: with the client id, or a certificate of that name. A clean start without a will: nothing of the session
// remains. Blocks until it is done, at most `patience`; any thread but the loop's. Error: the broker did not accept it.
Status end_session(const mqtt::Options& options, const mqtt::MakeClient& make_client, Duration patience);

}  // namespace edgefleet::coordinator
