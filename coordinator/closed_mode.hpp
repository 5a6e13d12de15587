// The shell of a fleet after setup: what the loop and the HTTP server need for it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/http_server/server.hpp"
#include "coordinator/access/admission.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator {

// The broker as the coordinator of this fleet reaches it, with its certificates, and who may submit what. `knows`: on
// the loop's thread.
void take_setup(Loop::Options& options, ClosedFleet& closed, Admission::Knows knows);

// The operation behind `edgefleet agents revoke`: certificate, session, tasks, retained messages; about a second, ten
// at most.
std::function<Status(const std::string& who, const std::string& agent)> revoker(ClosedFleet& closed, Loop& loop,
                                                                                mqtt::Options broker);

// The port of agents. Returns its address.
Result<http_server::ListenAddress> listen_for_agents(http_server::Server& server, const Parts& parts);
// TLS of the port of people and programs.
Result<std::shared_ptr<http_server::Tls>> people_tls(const ClosedFleet& closed);

// Renews certificates and ends what has expired, once a minute, until it is stopped.
void maintain(const std::stop_token& stop, ClosedFleet& closed);

}  // namespace edgefleet::coordinator
