// Aligned columns. If they do not fit, the columns that may shrink are cut, then those on the right.
#pragma once

#include <string>
#include <vector>

#include "cli/core/text.hpp"

namespace edgefleet::cli {

struct Cell {
  Cell(std::string content) : text(std::move(content)) {}   // NOLINT: implicit on purpose
  Cell(const char* content) : text(content) {}              // NOLINT: implicit on purpose
  Cell(std::string content, Style s) : text(std::move(content)), style(s) {}
  std::string text;
  Style style = Style::plain;
};

struct Column {
  std::string heading;
  bool right = false;    // numbers
  bool shrinks = false;  // may be cut, never below its heading
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // as many cells as columns
};

// With a heading line; every line ends in '\n' without trailing spaces. Columns that are empty in every row are
// omitted.
std::string render(const Table& table, const Look& look);

}  // namespace edgefleet::cli
