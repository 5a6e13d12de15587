#include "common/http/problem.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/protocol/problem.hpp"

namespace edgefleet::http {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

void read_faults(const Json& document, Problem& problem) {
  const auto errors = document.find("errors");
  if (errors == document.end() || !errors->is_array()) return;
  for (const auto& element : *errors) {
    if (!element.is_object()) continue;
    const auto index = element.find("index");
    if (index == element.end() || !index->is_number_unsigned()) continue;
    problem.faults.push_back({index->get<std::size_t>(), text_of(element, "detail")});
  }
}

}  // namespace

Problem parse_problem(const Response& response) {
  Problem problem;
  problem.status = response.status;
  const auto document = Json::parse(response.body, nullptr, false);
  if (!document.is_object()) return problem;
  problem.title = text_of(document, "title");
  problem.detail = text_of(document, "detail");
  read_faults(document, problem);
  return problem;
}

Error to_error(const Response& response) {
  const Problem problem = parse_problem(response);
  const auto kind = protocol::kind_of_status(response.status);
  if (!problem.detail.empty()) return Error{problem.detail, kind};
  const auto status = "HTTP status " + std::to_string(response.status);
  if (!problem.title.empty()) return Error{problem.title + " (" + status + ")", kind};
  return Error{"answered with " + status + " and no explanation; is that the coordinator's URL?", kind};
}

Result<Response> expect_success(Result<Response> answer) {
  if (answer && !answer->ok()) return to_error(*answer);
  return answer;
}

}  // namespace edgefleet::http
