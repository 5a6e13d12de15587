// Options of a program, defined once: flags win over the environment (EDGEFLEET_...), which wins over a TOML file.
#pragma once

#include <toml++/toml.h>
#include <CLI/CLI.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet {

class Configuration {
 public:
  // `environment_prefix`: "EDGEFLEET_"; option --broker is EDGEFLEET_BROKER there, and `broker` in the file.
  Configuration(std::string description, std::string program);

  template <typename T>
  CLI::Option* option(const std::string& name, T& target, const std::string& help) {
    return add(app_.add_option("--" + name, target, help)->capture_default_str(), name, type_of<T>());
  }
  CLI::Option* flag(const std::string& name, bool& target, const std::string& help) {
    return add(app_.add_flag("--" + name, target, help), name, Type::boolean);
  }
  // `log-level`, the same in all programs.
  void log_level(std::string& target);
  // Something else that the program does, with options of its own; those of the program may stand after its name too.
  CLI::App* command(const std::string& name, const std::string& help);
  // A table or array of tables that the program reads from `file()` itself.
  void allow_table(const std::string& name) { tables_.insert(name); }
  void footer(const std::string& examples) { app_.footer(examples); }

  // None: go on. Otherwise the program ends with this exit code; what there is to say has been said.
  std::optional<int> parse(int argc, const char* const* argv);
  [[nodiscard]] const toml::table& file() const { return file_; }
  [[nodiscard]] const std::string& file_path() const { return path_; }

 private:
  enum class Type { text, integer, number, boolean };  // of a value in the file, which is not converted
  struct Known {
    std::string name;
    CLI::Option* option = nullptr;
    Type type = Type::text;
  };
  template <typename T>
  static constexpr Type type_of() {
    if (std::is_integral_v<T>) return Type::integer;
    return std::is_floating_point_v<T> ? Type::number : Type::text;
  }
  CLI::Option* add(CLI::Option* option, const std::string& name, Type type);
  static std::optional<std::string> as_text(const toml::node& node, Type type);
  static std::string_view name_of(Type type);
  Status read_file();
  Status take_from_file();

  CLI::App app_;
  std::string program_;
  std::string path_;
  std::vector<Known> options_;
  std::set<std::string> tables_;
  toml::table file_;
};

// The one sentence a program ends with when it cannot go on; returns the exit code.
int give_up(const std::string& program, const std::string& message);
// The same for what its user got wrong on the command line, in the environment or in the file.
int wrong_usage(const std::string& program, const std::string& message);

}  // namespace edgefleet
