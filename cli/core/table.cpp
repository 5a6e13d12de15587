#include "cli/core/table.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace edgefleet::cli {
namespace {

constexpr std::size_t gap = 2;

std::vector<std::size_t> natural_widths(const Table& table) {
  std::vector<std::size_t> widths(table.columns.size(), 0);
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(printable(row[i].text)));
  }
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (widths[i] > 0) widths[i] = std::max(widths[i], width_of(table.columns[i].heading));
  }
  return widths;
}

std::size_t total_of(const std::vector<std::size_t>& widths) {
  const auto shown =
      static_cast<std::size_t>(std::count_if(widths.begin(), widths.end(), [](auto w) { return w > 0; }));
  const auto sum = std::accumulate(widths.begin(), widths.end(), std::size_t{0});
  return shown == 0 ? 0 : sum + gap * (shown - 1);
}

// Shrinks the widest column that may shrink, one step at a time, so that narrow columns keep their width.
void shrink(std::vector<std::size_t>& widths, const std::vector<Column>& columns, std::size_t most) {
  while (total_of(widths) > most) {
    std::size_t widest = columns.size();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool can = columns[i].shrinks && widths[i] > std::max<std::size_t>(width_of(columns[i].heading), 8);
      if (can && (widest == columns.size() || widths[i] > widths[widest])) widest = i;
    }
    if (widest == columns.size()) return;
    --widths[widest];
  }
}

// What still does not fit is cut from the right: a line that wraps cannot be read.
void cut(std::vector<std::size_t>& widths, std::size_t most) {
  for (std::size_t i = widths.size(); i-- > 0 && total_of(widths) > most;) {
    const auto over = total_of(widths) - most;
    widths[i] -= std::min(widths[i], over);
  }
}

std::string line(const std::vector<Cell>& cells, const Table& table, const std::vector<std::size_t>& widths,
                 bool colour) {
  std::string out;
  std::size_t pending = 0;  // spaces, written only if text follows
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (widths[i] == 0) continue;
    const auto text = fit(printable(cells[i].text), widths[i]);
    const auto space = widths[i] - width_of(text);
    if (!text.empty()) {
      out.append(pending + (table.columns[i].right ? space : 0), ' ');
      out += paint(text, cells[i].style, colour);
      pending = gap + (table.columns[i].right ? 0 : space);
    } else {
      pending += gap + space;
    }
  }
  return out + '\n';
}

}  // namespace

std::string render(const Table& table, const Look& look) {
  auto widths = natural_widths(table);
  if (look.width > 0) {
    shrink(widths, table.columns, static_cast<std::size_t>(look.width));
    cut(widths, static_cast<std::size_t>(look.width));
  }
  std::vector<Cell> headings;
  for (const auto& column : table.columns) headings.emplace_back(column.heading, Style::heading);
  std::string out = line(headings, table, widths, look.colour);
  for (const auto& row : table.rows) out += line(row, table, widths, look.colour);
  return out;
}

}  // namespace edgefleet::cli
