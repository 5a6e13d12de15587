// The body of a batch, and query strings: "name=value" lines, up to an empty one, are the query; the rest is the body.
#include "coordinator/http/requests.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "common/protocol/artifacts.hpp"
#include "common/protocol/json.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::fuzz;

namespace {

Query query_of(std::string_view& rest) {
  std::map<std::string, std::string> values;
  for (auto line = take_line(rest); !line.empty(); line = take_line(rest)) {
    const auto equal = line.find('=');
    values.emplace(line.substr(0, equal), equal == std::string_view::npos ? "" : line.substr(equal + 1));
  }
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

void named_in(const nlohmann::json& tree, std::set<std::string>& names) {
  for (const auto& [key, value] : tree.items()) {
    const bool named = tree.is_object() && key == "artifact" && value.is_string();
    if (named) names.insert(value.get<std::string>());
    if (!named && value.is_structured()) named_in(value, names);
  }
}

// An artifact that is named but not found could be removed while a task needs it. Of equal keys, all are checked here,
// but the parser reads only the last one.
void check_artifacts(const std::string& input) {
  const auto found = protocol::artifacts_in(input);
  std::set<std::string> named;
  const auto tree = nlohmann::json::parse(input, nullptr, false);  // discarded: a number that no double holds
  if (tree.is_structured()) named_in(tree, named);
  const std::set<std::string> all(found.begin(), found.end());
  for (const auto& name : named) require(all.count(name) == 1, "every artifact of an input is found");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto rest = text_of(data, size);
  const auto query = query_of(rest);
  if (const auto tasks = read_task_query(query))
    require(tasks->limit >= 1 && tasks->limit <= 1000, "a page is bounded");
  if (const auto wait = read_wait(query)) require(*wait >= 0 && *wait <= longest_wait, "a long poll is bounded");

  std::size_t checked = 0;
  const auto batch = read_batch(rest, limits::input_bytes, [&](const TaskSpec& spec) {
    ++checked;
    check_artifacts(spec.input);
    return spec.name == "refused" ? Status(Error{"refused"}) : success();
  });
  if (!batch) return 0;
  require(!batch->tasks.empty() || !batch->wrong.empty(), "a batch has tasks");
  require(batch->tasks.size() <= checked && checked <= limits::batch_tasks, "every task of a batch is checked");
  for (const auto& [index, why] : batch->wrong) require(!why.message.empty(), "the error of a task is reported");
  return 0;
}
