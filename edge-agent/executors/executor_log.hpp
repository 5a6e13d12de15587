// The log of executors: `edgefleet::log::write` in the agent, a collector in tests.
#pragma once

#include <functional>
#include <string>

#include "common/runtime/log.hpp"

namespace edgefleet::agent {

using Severity = log::Level;

// Called from any thread. May be empty.
using ExecutorLog = std::function<void(Severity, const std::string&)>;

inline void write_log(const ExecutorLog& log, Severity severity, const std::string& text) {
  if (log) log(severity, text);
}

}  // namespace edgefleet::agent
