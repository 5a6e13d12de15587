// Options of a program, defined once. Flags override the environment (EDGEFLEET_...), which overrides a TOML file.
#pragma once

#include <toml++/toml.h>
#include <CLI/CLI.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "common/runtime/toml_value.hpp"

namespace edgefleet {

class Configuration {
 public:
  static constexpr std::size_t most_file_bytes = 1024 * 1024;

  // `environment_prefix`: "EDGEFLEET_"; option --broker is EDGEFLEET_BROKER in it, and `broker` in the file.
  Configuration(std::string description, std::string program);

  template <typename T>
  CLI::Option* option(const std::string& name, T& target, const std::string& help) {
    return add(app_.add_option("--" + name, target, help)->capture_default_str(), name, toml_type_of<T>());
  }
  CLI::Option* flag(const std::string& name, bool& target, const std::string& help) {
    return add(app_.add_flag("--" + name, target, help), name, TomlType::boolean);
  }
  // `log-level`, the same in all programs.
  void log_level(std::string& target);
  // A subcommand with options of its own; the options of the program may also follow its name.
  CLI::App* command(const std::string& name, const std::string& help);
  // A table or array of tables that the program reads from `file()` itself.
  void allow_table(const std::string& name) { tables_.insert(name); }
  void footer(const std::string& examples) { app_.footer(examples); }

  // None: continue. Otherwise the program ends with this exit code; all messages have been printed.
  std::optional<int> parse(int argc, const char* const* argv);
  // The same arguments in a program that works already: the file may have changed. An error is returned, not printed.
  Status read_again(int argc, const char* const* argv);
  // After parse(): whether the option has a value of its own, from the command line, the environment or the file.
  [[nodiscard]] bool given(const std::string& name) const;
  [[nodiscard]] const toml::table& file() const { return file_; }
  [[nodiscard]] const std::string& file_path() const { return path_; }

 private:
  struct Known {
    std::string name;
    CLI::Option* option = nullptr;
    TomlType type = TomlType::text;  // of its value in the file, which is not converted
  };
  CLI::Option* add(CLI::Option* option, const std::string& name, TomlType type);
  static std::optional<std::string> as_text(const toml::node& node, TomlType type);
  [[nodiscard]] std::string explained(const CLI::Error& error) const;
  Status read_file();
  Status take_from_file();

  CLI::App app_;
  std::string program_;
  std::string path_;
  std::vector<Known> options_;
  std::set<std::string> tables_;
  toml::table file_;
};

// Prints the error with which a program ends; returns the exit code.
int give_up(const std::string& program, const std::string& message);
// The same for an error on the command line, in the environment or in the file.
int wrong_usage(const std::string& program, const std::string& message);

}  // namespace edgefleet
