#include "coordinator/http/llm/dialects/openai.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace edgefleet::coordinator::llm {

std::string_view to_string(FieldUse use) {
  constexpr std::array names = {"mapped", "endpoint"};
  return names.at(static_cast<std::size_t>(use));
}

namespace openai {
namespace {

constexpr std::int64_t widest_seed = std::int64_t{1} << 62U;  // a further one, or none, is left as it is

std::vector<std::string_view> for_the_endpoint(std::span<const RequestField> fields) {
  std::vector<std::string_view> names;
  for (const RequestField& one : fields) {
    if (one.use == FieldUse::endpoint) names.push_back(one.field);
  }
  return names;
}

bool begins(std::string_view value, std::string_view with_one_of) {
  return !value.empty() && with_one_of.find(value.front()) != std::string_view::npos;
}

// The model entries have no date of their own: a client that compares lists must not see a change.
constexpr std::int64_t created = 1'767'225'600;  // 2026-01-01

Json model_entry(const Offered& one) {
  return {{"id", one.model}, {"object", "model"}, {"created", created}, {"owned_by", one.owner}};
}

}  // namespace

Result<Reading> read(const std::string& body, const char* capability, std::span<const RequestField> fields) {
  if (!json::well_formed(body) || !json::part_is_shallow(body)) {
    return invalid("the body is not valid JSON (UTF-8, at most 64 levels deep)");
  }
  Reading reading{json::Fields(body), {*Capability::parse(capability), {}, {}}};
  json::Fields& given = reading.fields;
  if (!given.ok()) return invalid("the body " + given.error().message);
  reading.question.model = given.string("model").value_or("");
  if (reading.question.model.empty()) given.fail("`model` is missing");
  reading.question.stream = given.boolean("stream").value_or(false);
  if (const auto options = given.find("stream_options")) {
    reading.include_usage = json::Object::read(*options).value_or(json::Object{}).find("include_usage") == "true";
  }
  if (!given.ok()) return given.error();
  reading.question.input = json::without(given.object(), for_the_endpoint(fields));
  return reading;
}

Status multiply(Reading& reading) {
  const auto n =
      static_cast<std::size_t>(reading.fields.integer("n", 1, static_cast<std::int64_t>(most_choices)).value_or(1));
  if (!reading.fields.ok()) return reading.fields.error();
  auto& tasks = reading.question.tasks;
  if (tasks.size() * n > most_choices) {
    return invalid("`n` and the number of prompts ask for " + std::to_string(tasks.size() * n) +
                   " choices; the maximum is " + std::to_string(most_choices));
  }
  // The same seed would give the same answer n times.
  const std::int64_t seed = json::as_integer(reading.fields.find("seed").value_or("")).value_or(widest_seed);
  std::vector<OwnMembers> all;
  for (const OwnMembers& one : tasks) {
    for (std::size_t k = 0; k < n; ++k) {
      all.push_back(one);
      if (k > 0 && seed > -widest_seed && seed < widest_seed) {
        all.back().emplace_back("seed", std::to_string(seed + static_cast<std::int64_t>(k)));
      }
    }
  }
  tasks = std::move(all);
  return success();
}

Result<std::vector<std::string_view>> texts(std::string_view name, std::string_view value, std::size_t most) {
  const std::string field = "`" + std::string(name) + "`";
  const auto elements = json::elements(value);
  if (!elements || elements->empty()) return invalid(field + " must be a string or a list of strings");
  for (const std::string_view element : *elements) {
    if (begins(element, "[-0123456789")) return invalid(field + ": arrays of tokens are not supported; send text");
    if (!begins(element, "\"")) return invalid(field + " must be a string or a list of strings");
  }
  if (elements->size() > most) {
    return invalid(field + " has " + std::to_string(elements->size()) + " elements; the maximum is " +
                   std::to_string(most));
  }
  return *elements;
}

OwnMembers others(const json::Object& object, const std::vector<std::string_view>& known) {
  OwnMembers rest;
  for (const auto& [name, value] : object.members()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) rest.emplace_back(name, value);
  }
  return rest;
}

OwnMembers beside(std::string_view answer, std::string_view output) {
  return others(json::Object::read(output).value_or(json::Object{}),
                {"id", "object", "created", "model", "usage", answer});
}

void write_beside(const std::vector<OwnMembers>& results, json::ObjectWriter& into) {
  std::set<std::string_view> written;
  for (const OwnMembers& of_result : results) {
    for (const auto& [name, value] : of_result) {
      if (written.insert(name).second) into.raw(name, value);
    }
  }
}

std::string model_view(const Offered& model) { return dump(model_entry(model)); }
std::string models_view(const std::vector<Offered>& models) {
  Json data = Json::array();
  for (const Offered& one : models) data.push_back(model_entry(one));
  return dump({{"object", "list"}, {"data", data}});
}

}  // namespace openai
}  // namespace edgefleet::coordinator::llm
