// Errors of an HTTP API: problem+json (RFC 9457).
#pragma once

#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/http/client.hpp"

namespace edgefleet::http {

struct Problem {
  int status = 0;
  std::string title;
  std::string detail;
  struct Fault {  // one bad element of a batch
    std::size_t index = 0;
    std::string detail;
  };
  std::vector<Fault> faults;
};

// Parses an answer that is not a success. Another body (a proxy's page) results in a problem without detail.
Problem parse_problem(const Response& response);

// One sentence for people: the detail, else the title, else the status.
Error to_error(const Response& response);

// Returns a success unchanged; any other answer becomes an Error.
Result<Response> expect_success(Result<Response> answer);

}  // namespace edgefleet::http
