#include "common/runtime/table_reader.hpp"

#include "common/core/nearest.hpp"

namespace edgefleet {
namespace {

std::optional<TomlScalar> scalar_of(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return TomlScalar{*text};
  if (const auto number = node.value_exact<std::int64_t>()) return TomlScalar{*number};
  if (const auto number = node.value_exact<double>()) return TomlScalar{*number};
  if (const auto flag = node.value_exact<bool>()) return TomlScalar{*flag};
  return std::nullopt;
}

constexpr const char* any_scalar = "a string, a number, or true or false";

}  // namespace

void TableReader::read_number(std::string_view key, std::optional<double>& into) {
  const auto* node = get(key);
  if (node == nullptr) return;
  into = node->value<double>();
  if (!into || !node->is_number()) fail(*node, quoted(key) + " must be a number");
}

void TableReader::read_strings(std::string_view key, std::map<std::string, std::string>& into) {
  const auto* strings = table(key);
  if (strings == nullptr) return;
  for (const auto& [name, value] : *strings) {
    const auto text = value.value_exact<std::string>();
    if (!text) return fail(value, quoted(std::string(key) + "." + std::string(name.str())) + " must be a string");
    into[std::string(name.str())] = *text;
  }
}

void TableReader::read_choices(std::string_view key, std::vector<TomlScalar>& into) {
  const auto* array = list(key);
  if (array == nullptr) return;
  if (array->empty()) return fail(*array, quoted(key) + " is empty, which would allow nothing");
  for (const auto& element : *array) {
    auto value = scalar_of(element);
    if (!value) return fail(element, quoted(key) + " must be a list, each element " + any_scalar);
    into.push_back(std::move(*value));
  }
}

void TableReader::need(std::string_view key) {
  if (table_.get(key) == nullptr) fail(table_, quoted(key) + " is missing");
}

const toml::table* TableReader::table(std::string_view key) {
  const auto* node = get(key);
  if (node != nullptr && !node->is_table()) fail(*node, quoted(key) + " must be a table");
  return node == nullptr ? nullptr : node->as_table();
}

std::optional<TomlScalar> TableReader::scalar(std::string_view key) {
  const auto* node = get(key);
  if (node == nullptr) return std::nullopt;
  auto value = scalar_of(*node);
  if (!value) fail(*node, quoted(key) + " must be " + any_scalar);
  return value;
}

std::vector<std::string> TableReader::keys() const {
  std::vector<std::string> all;
  for (const auto& [key, node] : table_) all.emplace_back(key.str());
  return all;
}

void TableReader::fail(const toml::node& node, const std::string& problem) {
  if (problem_.empty()) problem_ = place_in(file_, node) + what_ + ": " + problem;
}

void TableReader::fail(std::string_view key, const std::string& problem) {
  const auto* node = table_.get(key);
  fail(node != nullptr ? *node : table_, problem);
}

Status TableReader::finish() {
  for (const auto& [key, node] : table_) {
    if (seen_.contains(key.str())) continue;
    const auto near = nearest(key.str(), {seen_.begin(), seen_.end()});
    fail(node, "unknown key " + quoted(key.str()) + (near ? "; did you mean " + quoted(*near) + "?" : ""));
  }
  if (!problem_.empty()) return invalid(problem_);
  return success();
}

const toml::node* TableReader::get(std::string_view key) {
  seen_.emplace(key);
  return table_.get(key);
}

const toml::array* TableReader::list(std::string_view key) {
  const auto* node = get(key);
  if (node != nullptr && !node->is_array()) fail(*node, quoted(key) + " must be a list");
  return node == nullptr ? nullptr : node->as_array();
}

Result<const toml::table*> table_of(const Configuration& configuration, const std::string& name) {
  const auto* node = configuration.file().get(name);
  if (node != nullptr && !node->is_table()) {
    return invalid(place_in(configuration.file_path(), *node) + "`" + name + "` must be a table: write [" + name + "]");
  }
  return node == nullptr ? nullptr : node->as_table();
}

Result<std::vector<const toml::table*>> tables_of(const Configuration& configuration, const std::string& name) {
  const auto* node = configuration.file().get(name);
  std::vector<const toml::table*> all;
  if (node == nullptr) return all;
  const auto wrong = [&](const toml::node& at) {
    return invalid(place_in(configuration.file_path(), at) + "`" + name + "` must be a list of tables: write [[" +
                   name + "]]");
  };
  if (!node->is_array()) return wrong(*node);
  for (const auto& element : *node->as_array()) {
    if (!element.is_table()) return wrong(element);
    all.push_back(element.as_table());
  }
  return all;
}

}  // namespace edgefleet
