#include "common/protocol/problem.hpp"

#include <algorithm>
#include <array>

#include "common/protocol/json.hpp"

namespace edgefleet::protocol {
namespace {

struct Row {
  ErrorKind kind;
  int status;
  const char* title;
};
constexpr std::array rows = {
    Row{ErrorKind::invalid, 422, "The request is not valid"},
    Row{ErrorKind::unsupported, 501, "Not supported"},
    Row{ErrorKind::forbidden, 403, "Forbidden"},
    Row{ErrorKind::not_found, 404, "Not found"},
    Row{ErrorKind::conflict, 409, "Conflict"},
    Row{ErrorKind::too_large, 413, "Too large"},
    Row{ErrorKind::busy, 429, "Too many requests"},
    Row{ErrorKind::used_up, 429, "The budget is used up"},
    Row{ErrorKind::full, 507, "Insufficient storage"},
    Row{ErrorKind::unavailable, 503, "Unavailable for now"},
    Row{ErrorKind::internal, 500, "Internal error"},
};

const Row& row_of(ErrorKind kind) {
  const auto* found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.kind == kind; });
  return found == rows.end() ? rows.back() : *found;
}

}  // namespace

int status_of(ErrorKind kind) { return row_of(kind).status; }

ErrorKind kind_of_status(int status) {
  if (status == 401) return ErrorKind::forbidden;
  if (status == 410) return ErrorKind::not_found;
  if (status == 502 || status == 504) return ErrorKind::unavailable;  // of a proxy
  const auto* found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.status == status; });
  if (found != rows.end()) return found->kind;
  return status >= 400 && status < 500 ? ErrorKind::invalid : ErrorKind::internal;
}

std::string retry_after(Duration time) { return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count()); }

std::string problem_json(int status, std::string_view title, std::string_view detail) {
  std::string out;
  {
    json::ObjectWriter object(out);
    object.string("type", "about:blank");
    object.string("title", title);
    object.integer("status", status);
    object.string("detail", detail);
  }
  return out;
}

std::string problem_json(const Error& error) {
  const Row& row = row_of(error.kind);
  std::string out = problem_json(row.status, row.title, error.message);
  if (!error.retry_after) return out;
  out.pop_back();
  return out + ",\"retry_after_ms\":" + std::to_string(to_ms(*error.retry_after)) + "}";
}

}  // namespace edgefleet::protocol
