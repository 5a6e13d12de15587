// Tables of a settings file (TOML). All errors have one form: "FILE, line N: TABLE: the problem".
#pragma once

#include <toml++/toml.h>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/core/result.hpp"
#include "common/runtime/configuration.hpp"
#include "common/runtime/toml_value.hpp"

namespace edgefleet {

using TomlScalar = std::variant<std::string, std::int64_t, double, bool>;

// Reads one table, key by key. A key that is absent leaves the value unchanged. The first problem is recorded, with
// its line, and finish() returns it; a key that was never read is a problem too.
class TableReader {
 public:
  // `what` names the table for people. `file` and `table` must outlive the reader.
  TableReader(const std::string& file, std::string what, const toml::table& table)
      : file_(file), what_(std::move(what)), table_(table) {}

  template <typename T>
  void read(std::string_view key, T& into) {
    if (const auto* node = get(key)) take(key, *node, into);
  }
  template <typename T>
  void read(std::string_view key, std::optional<T>& into) {
    if (const auto* node = get(key)) take(key, *node, into.emplace());
  }
  // A whole number is a number too.
  void read_number(std::string_view key, std::optional<double>& into);
  template <typename T>
  void read_list(std::string_view key, std::vector<T>& into) {
    const auto* array = list(key);
    if (array == nullptr) return;
    for (const auto& element : *array) {
      auto value = element.value_exact<T>();
      if (!value)
        return fail(element, quoted(key) + " must be a list, each element " + std::string(name_of(toml_type_of<T>())));
      into.push_back(std::move(*value));
    }
  }
  // A table of strings with any keys.
  void read_strings(std::string_view key, std::map<std::string, std::string>& into);
  // A list that is present must have elements: an empty one would allow nothing.
  void read_choices(std::string_view key, std::vector<TomlScalar>& into);
  void need(std::string_view key);

  // For other values. None: the key is absent, or its value is not a table (which is a problem).
  const toml::table* table(std::string_view key);
  std::optional<TomlScalar> scalar(std::string_view key);
  // All keys of the table, if its keys are chosen by the user.
  [[nodiscard]] std::vector<std::string> keys() const;

  void fail(const toml::node& node, const std::string& problem);
  // At the place of `key`, or of the table if the key is absent.
  void fail(std::string_view key, const std::string& problem);
  [[nodiscard]] Status finish();

 private:
  template <typename T>
  void take(std::string_view key, const toml::node& node, T& into) {
    if (auto value = node.value_exact<T>()) {
      into = std::move(*value);
    } else {
      fail(node, quoted(key) + " must be " + std::string(name_of(toml_type_of<T>())));
    }
  }
  static std::string quoted(std::string_view key) { return "`" + std::string(key) + "`"; }
  const toml::node* get(std::string_view key);
  const toml::array* list(std::string_view key);

  const std::string& file_;
  std::string what_;
  const toml::table& table_;
  std::set<std::string, std::less<>> seen_;
  std::string problem_;
};

// The table [name] of the file; none: it is absent.
Result<const toml::table*> table_of(const Configuration& configuration, const std::string& name);
// The tables [[name]] of the file, in its order.
Result<std::vector<const toml::table*>> tables_of(const Configuration& configuration, const std::string& name);

}  // namespace edgefleet
