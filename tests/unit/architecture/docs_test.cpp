// The form of the documents: line width, tables that GitHub renders, links that lead somewhere.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_line = 120;  // characters, as everywhere in this repository

const fs::path root = EDGEFLEET_SOURCE_DIR;

struct Line {
  std::size_t number = 0;
  std::string text;
};
struct Page {
  fs::path path;
  std::vector<Line> lines;  // without code blocks
};

bool is_fence(const std::string& line) {
  const auto first = line.find_first_not_of(' ');
  return first != std::string::npos && line.compare(first, 3, "```") == 0;
}

Page read(const fs::path& path) {
  Page page{path, {}};
  std::ifstream file(path);
  bool code = false;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (is_fence(line)) {
      code = !code;
      line.clear();  // a block of code ends a table
    }
    if (!code) page.lines.push_back({number, line});
  }
  return page;
}

template <typename Iterator>
void add_pages(std::vector<Page>& pages, Iterator files) {
  for (const auto& entry : files) {
    if (entry.is_regular_file() && entry.path().extension() == ".md") pages.push_back(read(entry.path()));
  }
}

std::vector<Page> all_pages() {
  std::vector<Page> pages;
  add_pages(pages, fs::directory_iterator(root));
  for (const char* folder : {"docs", "tests", ".github"})
    add_pages(pages, fs::recursive_directory_iterator(root / folder));
  return pages;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// ---- lines

bool is_row(const std::string& line) { return line.starts_with('|'); }

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// A link's target cannot be broken, so it does not count.
std::size_t width(const std::string& line) {
  static const std::regex target("\\]\\([^)]*\\)");
  return characters(std::regex_replace(line, target, "]"));
}

// ---- tables

std::string without_escapes(std::string line) {
  for (auto at = line.find("\\|"); at != std::string::npos; at = line.find("\\|", at)) line.replace(at, 2, "");
  return line;
}

// GitHub takes every `|` that is not escaped for a border, also within code.
std::ptrdiff_t borders(const std::string& row) {
  const std::string plain = without_escapes(row);
  return std::count(plain.begin(), plain.end(), '|');
}

bool is_delimiter(const std::string& row) { return row.find_first_not_of("|-: ") == std::string::npos; }

std::vector<std::vector<Line>> tables(const Page& page) {
  std::vector<std::vector<Line>> found;
  bool inside = false;
  for (const Line& line : page.lines) {
    if (!is_row(line.text)) {
      inside = false;
      continue;
    }
    if (!inside) found.emplace_back();
    inside = true;
    found.back().push_back(line);
  }
  return found;
}

// The cells of a row without escapes.
std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> all;
  for (auto begin = row.find('|'); begin + 1 < row.size();) {
    const auto end = row.find('|', begin + 1);
    if (end == std::string::npos) break;
    all.push_back(row.substr(begin + 2, end - begin - 3));
    begin = end;
  }
  return all;
}

// ---- links

std::string without_code(const std::string& line) {
  static const std::regex code("`[^`]*`");
  return std::regex_replace(line, code, "");
}

std::vector<std::string> relative_links(const std::string& line) {
  static const std::regex link("\\]\\(([^)\\s]+)\\)");
  const std::string plain = without_code(line);
  std::vector<std::string> found;
  for (auto at = std::sregex_iterator(plain.begin(), plain.end(), link); at != std::sregex_iterator(); ++at) {
    const std::string target = (*at)[1];
    if (target.find("://") == std::string::npos && !target.starts_with("mailto:")) found.push_back(target);
  }
  return found;
}

// How GitHub names a heading.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_') anchor += static_cast<char>(std::tolower(byte));
    if (c == ' ') anchor += '-';
  }
  return anchor;
}

bool has_heading(const Page& page, const std::string& anchor) {
  return std::any_of(page.lines.begin(), page.lines.end(), [&](const Line& line) {
    const auto text = line.text.find_first_not_of('#');
    return text != 0 && text != std::string::npos && anchor_of(line.text.substr(text + 1)) == anchor;
  });
}

bool resolves(const Page& from, const std::string& link) {
  const auto hash = link.find('#');
  const std::string file = link.substr(0, hash);
  const fs::path path = file.empty() ? from.path : from.path.parent_path() / file;
  if (!fs::exists(path)) return false;
  return hash == std::string::npos || has_heading(read(path), link.substr(hash + 1));
}

std::string place(const Page& page, const Line& line) {
  return fs::relative(page.path, root).string() + ":" + std::to_string(line.number) + ": " + line.text;
}

}  // namespace

TEST_CASE("no line of a document is wider than 120 characters, outside of tables, code and links") {
  const auto pages = all_pages();
  CHECK(pages.size() > 20);
  for (const Page& page : pages) {
    for (const Line& line : page.lines) {
      INFO(place(page, line));
      CHECK((is_row(line.text) || width(line.text) <= longest_line));
    }
  }
}

TEST_CASE("every table has a header, and as many cells in each row") {
  std::size_t rows = 0;
  for (const Page& page : all_pages()) {
    for (const auto& table : tables(page)) {
      INFO(place(page, table.front()));
      REQUIRE(table.size() > 2);
      CHECK(is_delimiter(table[1].text));
      for (const Line& row : table) {
        INFO(place(page, row));
        CHECK(row.text.ends_with('|'));
        CHECK(borders(row.text) == borders(table.front().text));
        ++rows;
      }
    }
  }
  CHECK(rows > 300);
}

TEST_CASE("every relative link leads to a file, and its anchor to a heading") {
  std::size_t links = 0;
  for (const Page& page : all_pages()) {
    for (const Line& line : page.lines) {
      for (const std::string& link : relative_links(line.text)) {
        INFO(place(page, line));
        CHECK(resolves(page, link));
        ++links;
      }
    }
  }
  CHECK(links > 80);
}

TEST_CASE(
    "each route that docs/coming-from.md replaces has a form that programs can read, and a replacement that exists") {
  const std::string http = text_of(root / "docs/http-api.md");
  const std::string mqtt = text_of(root / "docs/protocol.md");
  const std::regex theirs("`(GET|POST|PUT|DELETE) (/[a-zA-Z0-9{}/_-]+)`");
  const std::regex ours("`(GET|POST|PUT|MQTT) ([a-z0-9{}/_]+)`");
  const Page page = read(root / "docs/coming-from.md");
  const auto all = tables(page);
  const auto routes =
      std::find_if(all.begin(), all.end(), [](const auto& t) { return t.front().text == "| their route | ours |"; });
  REQUIRE(routes != all.end());
  for (auto row = routes->begin() + 2; row != routes->end(); ++row) {
    INFO(place(page, *row));
    const auto pair = cells(row->text);
    REQUIRE(pair.size() == 2);
    CHECK(std::regex_match(pair[0], theirs));
    std::smatch found;
    REQUIRE(std::regex_match(pair[1], found, ours));
    const bool topic = found[1] == "MQTT";
    const std::string named = topic ? "`" + found[2].str() + "`" : found[1].str() + " " + found[2].str();
    CHECK((topic ? mqtt : http).find(named) != std::string::npos);
  }
}

TEST_CASE("every decision record has a date, a status and a row in the index") {
  const std::string index = text_of(root / "docs/adr/README.md");
  const std::regex dated("\n- Date: \\d{4}-\\d{2}-\\d{2}\n- Status: (proposed|accepted|superseded by .+)\n");
  std::size_t records = 0;
  for (const auto& entry : fs::directory_iterator(root / "docs/adr")) {
    const std::string name = entry.path().filename().string();
    if (name == "README.md") continue;
    INFO(name);
    CHECK(std::regex_search(text_of(entry.path()), dated));
    CHECK(index.find("(" + name + ")") != std::string::npos);
    ++records;
  }
  CHECK(records >= 10);
}
