// A secret from a file: never on a command line, never in a log.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// The first line of the file, without a carriage return, which would break the header that contains it.
inline Result<std::string> read_secret(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (file && std::getline(file, line) && line.ends_with('\r')) line.pop_back();
  if (!file || line.empty()) {
    return Error{"cannot read a secret from " + path, ErrorKind::invalid};
  }
  return line;
}

}  // namespace edgefleet
