#include "coordinator/shell/session_end.hpp"

#include "coordinator/shell/brief_client.hpp"

namespace edgefleet::coordinator {

Status end_session(const mqtt::Options& options, const mqtt::MakeClient& make_client, Duration patience) {
  return BriefClient(options).connect(make_client, patience);
}

}  // namespace edgefleet::coordinator
