// Commands that the owner of an agent allows, and how a task's parameters become their arguments. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "edge-agent/executors/command/pattern.hpp"
#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/process/environment.hpp"

namespace edgefleet::agent {

// A value in a configuration file.
using Scalar = std::variant<std::string, std::int64_t, double, bool>;

// `[command.params.<name>]` as written in the file.
struct ParamSettings {
  std::string type = "string";  // string, integer, number, boolean, artifact
  std::optional<std::string> pattern;  // string: ECMAScript, matched against the whole value
  std::optional<double> min;           // integer, number; default 0, so that no value looks like an option
  std::optional<double> max;
  std::vector<Scalar> choices;         // if not empty, the only allowed values
  std::optional<Scalar> default_value;
  std::optional<std::int64_t> max_length;  // string: bytes; default 1024, at most 4096
  bool to_stdin = false;  // string or artifact: it is the command's standard input; a string may then have any content
                          // that matches the pattern, up to the size of an input
};

// `[[command]]` as written in the file.
struct CommandSettings {
  std::string name;
  std::vector<std::string> argv;  // `{param}` is replaced within its element; `{{` and `}}` are braces
  std::map<std::string, ParamSettings> params;
  std::int64_t slots = 1;
  std::int64_t timeout_s = 600;
  Environment env;
  std::int64_t output_bytes = 32 * 1024;  // of stdout, and the same of stderr: half head, half tail
  std::int64_t artifact_bytes = 256 * 1024 * 1024;  // of all files in out/, and of those in in/
  std::int64_t artifact_files = 64;
  std::vector<std::int64_t> retry_exit_codes;
  bool sandbox = true;
};

class Param {
 public:
  enum class Type { string, integer, number, boolean, artifact };

  static Result<Param> check(const ParamSettings& settings);

  // The text that replaces the placeholder; for an artifact, its id. `value`: JSON.
  [[nodiscard]] Result<std::string> text(std::string_view value) const;
  [[nodiscard]] JsonText schema() const;
  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] bool to_stdin() const { return to_stdin_; }
  [[nodiscard]] const std::optional<std::string>& default_text() const { return default_text_; }
  friend bool operator==(const Param&, const Param&) = default;

 private:
  [[nodiscard]] Result<std::string> read(std::string_view value) const;
  [[nodiscard]] Status check_string(const std::string& text) const;
  [[nodiscard]] Status check_range(const std::string& number) const;
  [[nodiscard]] std::optional<std::string> least() const;
  [[nodiscard]] std::optional<std::string> most() const;
  [[nodiscard]] Status check_text(const std::string& text) const;
  Status set_pattern(const ParamSettings& settings);
  Status set_range(const ParamSettings& settings);
  Status set_values(const ParamSettings& settings);

  Type type_ = Type::string;
  bool to_stdin_ = false;
  std::optional<Pattern> pattern_;
  std::optional<double> min_;
  std::optional<double> max_;
  std::size_t max_length_ = 0;
  std::vector<std::string> choices_;
  std::optional<std::string> default_text_;
};

// A command with the parameters of one task.
struct Invocation {
  std::vector<std::string> argv;
  std::set<std::string> artifacts;  // to be placed at <in_dir>/<id>
  std::optional<std::string> stdin_text;
  std::string stdin_path;  // of a placed artifact; empty: none
};

class CommandConfig {
 public:
  static Result<CommandConfig> check(const CommandSettings& settings);

  // The error, of kind invalid, names the parameter.
  [[nodiscard]] Result<Invocation> bind(std::string_view input, const std::string& in_dir) const;

  // The JSON Schema of the input; what only the command checks (patterns, bytes) is not part of it.
  [[nodiscard]] JsonText parameters() const;

  ExecutorName executor;  // command-<name>
  Capability capability;  // command.<name>
  int slots = 1;
  Duration timeout{};
  Environment env;
  std::size_t output_bytes = 0;
  FileLimits file_limits;
  std::set<int> retry_exit_codes;
  bool sandbox = true;
  [[nodiscard]] bool needs_files() const;  // each task names one
  [[nodiscard]] const std::string& program() const { return argv_.front().front().text; }
  friend bool operator==(const CommandConfig&, const CommandConfig&) = default;

 private:
  struct Part {
    std::string text;
    bool placeholder = false;  // then `text` is the name of the parameter
    friend bool operator==(const Part&, const Part&) = default;
  };
  using Element = std::vector<Part>;

  CommandConfig() = default;
  static Result<Element> parse_element(std::string_view text);
  Status take_argv(const CommandSettings& settings);
  Status take_params(const CommandSettings& settings);
  Status take_numbers(const CommandSettings& settings);
  [[nodiscard]] Status check_uses() const;
  using Values = std::map<std::string, std::string, std::less<>>;
  [[nodiscard]] Result<Values> values_of(std::string_view input) const;
  [[nodiscard]] std::string fill(const Element& element, const Values& values, const std::string& in_dir) const;

  std::vector<Element> argv_;
  std::map<std::string, Param, std::less<>> params_;
};

}  // namespace edgefleet::agent
