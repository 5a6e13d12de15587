#include "cli/core/capabilities.hpp"

#include <algorithm>

#include "cli/core/table.hpp"
#include "common/core/nearest.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::size_t most_listed = 40;

std::vector<std::string> names_of(const Document& answer) {
  std::vector<std::string> names;
  for (const auto& one : member_of(answer, "capabilities")) names.push_back(printable(text_of(one, "name")));
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
    if (!only.empty() && name != only) continue;
    table.rows.push_back(
        {name, grouped(count_of(one, "agents")), grouped(count_of(one, "slots")), grouped(count_of(one, "free"))});
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
  return table.rows.empty() ? std::string() : render(table, look);
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
