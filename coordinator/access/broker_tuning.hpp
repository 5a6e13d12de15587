// The text of mosquitto/common.conf, which is the same for every broker of this project.
#pragma once

namespace edgefleet::coordinator {

extern const char* const broker_tuning;

}  // namespace edgefleet::coordinator
