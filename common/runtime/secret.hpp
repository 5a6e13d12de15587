// A secret from a file: never on a command line, never in a log.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// The first line of the file, whichever system wrote it: a carriage return would break the header it is put into.
inline Result<std::string> read_secret(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (file && std::getline(file, line) && line.ends_with('\r')) line.pop_back();
  if (!file || line.empty()) {
    return Error{"no secret can be read from " + path, ErrorKind::invalid};
  }
  return line;
}

}  // namespace edgefleet
