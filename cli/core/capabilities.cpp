#include "cli/core/capabilities.hpp"

#include <algorithm>

#include "cli/core/table.hpp"
#include "common/core/nearest.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::size_t most_listed = 40;

bool is_offered(const Document& capability) { return count_of(capability, "online") > 0; }

std::vector<std::string> names_of(const Document& answer) {
  std::vector<std::string> names;
  for (const auto& one : member_of(answer, "capabilities")) {
    if (is_offered(one)) names.push_back(printable(text_of(one, "name")));
  }
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  const auto shown = std::min(names.size(), most_listed);
  for (std::size_t i = 0; i < shown; ++i) text += (i > 0 ? ", " : "") + names[i];
  if (shown < names.size()) text += " and " + grouped(names.size() - shown) + " more (edgefleet capabilities)";
  return text;
}

Table table_of(const Document& answer, const std::string& only) {
  Table table{{{"CAPABILITY", false, true}, {"AGENTS", true}, {"SLOTS", true}, {"FREE", true}}, {}};
  for (const auto& one : member_of(answer, "capabilities")) {
    const auto name = text_of(one, "name");
    if (!is_offered(one) || (!only.empty() && name != only)) continue;
    table.rows.push_back(
        {name, grouped(count_of(one, "online")), grouped(count_of(one, "slots")), grouped(count_of(one, "free"))});
  }
  return table;
}

// "0 to 64", "jpeg, png"; empty: anything of its type.
std::string values_of(const Document& parameter) {
  const auto& choices = member_of(parameter, "enum");
  if (choices.is_array()) {
    std::string text;
    for (const auto& one : choices)
      text += (text.empty() ? "" : ", ") + (one.is_string() ? one.get<std::string>() : one.dump());
    return text;
  }
  const auto bound = [&](const char* key) {
    const auto& value = member_of(parameter, key);
    return value.is_number() ? value.dump() : std::string();
  };
  const auto least = bound("minimum");
  const auto most = bound("maximum");
  if (!least.empty() && !most.empty()) return least + " to " + most;
  if (!least.empty()) return "from " + least;
  return most.empty() ? text_of(parameter, "description") : "up to " + most;
}

Table parameters_of(const Document& schema) {
  Table table{{{"PARAMETER", false, true}, {"TYPE"}, {"REQUIRED"}, {"VALUES", false, true}}, {}};
  const auto& required = member_of(schema, "required");
  for (const auto& [name, parameter] : member_of(schema, "properties").items()) {
    const bool needed = required.is_array() && std::find(required.begin(), required.end(), name) != required.end();
    table.rows.push_back({name, text_of(parameter, "type"), needed ? "yes" : "", values_of(parameter)});
  }
  return table;
}

}  // namespace

std::string show_capabilities(const Document& answer, const Look& look) {
  const auto table = table_of(answer, {});
  return table.rows.empty() ? "no connected agent offers anything\n" : render(table, look);
}

std::string show_capability(const Document& answer, const std::string& name, const Look& look) {
  const auto table = table_of(answer, name);
  if (table.rows.empty()) return {};
  std::string text = render(table, look);
  for (const auto& one : member_of(answer, "capabilities")) {
    if (text_of(one, "name") != name) continue;
    const auto parameters = parameters_of(member_of(one, "parameters"));
    if (!parameters.rows.empty()) text += "\n" + render(parameters, look);
  }
  return text;
}

std::string if_nobody_offers(const Document& answer, const std::string& name) {
  const auto names = names_of(answer);
  if (std::find(names.begin(), names.end(), name) != names.end()) return {};
  std::string text = "no connected agent offers " + name;
  if (const auto near = nearest(name, names)) text += "; did you mean " + *near + "?";
  if (names.empty()) return text + ", or anything else";
  return text + (text.ends_with('?') ? " Offered are: " : "; offered are: ") + listed(names);
}

}  // namespace edgefleet::cli
