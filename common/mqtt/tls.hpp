// The files of a TLS connection to a broker.
#pragma once

#include <string>

#include "common/core/result.hpp"
#include "common/mqtt/address.hpp"
#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

// For a start: whether these files can be used for this broker, in the terms of the options --broker-ca,
// --broker-certificate and --broker-key.
Status check_tls(const Address& broker, const TlsFiles& files);

// Its options, for any program that has a broker. `Configuration`: common/runtime's.
template <typename Configuration>
void add_tls_options(Configuration& configuration, std::string& ca, std::string& certificate, std::string& key) {
  configuration.option("broker-ca", ca,
                       "PEM file of the authority that the broker's certificate must be of (default: the system's)");
  configuration.option("broker-certificate", certificate, "PEM file of this program's certificate at the broker");
  configuration.option("broker-key", key, "PEM file of that certificate's key");
}

}  // namespace edgefleet::mqtt
