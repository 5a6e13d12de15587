#include "edge-agent/executors/command/config.hpp"

#include <algorithm>

#include "common/core/trimmed.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::agent {
namespace {

struct Range {
  std::string_view name;
  std::int64_t value;
  std::int64_t least;
  std::int64_t most;
};

bool param_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto other = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.size() <= 64 && letter(name.front()) && std::all_of(name.begin(), name.end(), other);
}

}  // namespace

Result<CommandConfig> CommandConfig::check(const CommandSettings& settings) {
  const std::string where = "command '" + settings.name + "'";
  CommandConfig config;
  const auto executor = ExecutorName::parse("command-" + settings.name);
  const auto capability = Capability::parse("command." + settings.name);
  if (!executor || !capability || !valid_name(settings.name)) {
    return invalid(where + ": the name must be of a-z, 0-9 and '-', and at most 55 characters long");
  }
  config.executor = *executor;
  config.capability = *capability;
  config.env = settings.env;
  const auto steps = {&CommandConfig::take_argv, &CommandConfig::take_params, &CommandConfig::take_numbers};
  for (const auto step : steps) {
    if (auto taken = (config.*step)(settings); !taken) return taken.error().context(where);
  }
  if (auto used = config.check_uses(); !used) return used.error().context(where);
  if (auto env = check_environment(settings.env); !env) return env.error().context(where);
  return config;
}

Status CommandConfig::take_argv(const CommandSettings& settings) {
  if (settings.argv.empty() || settings.argv.front().empty()) return invalid("argv names no program");
  for (const auto& text : settings.argv) {
    auto element = parse_element(text);
    if (!element) return element.error().context("argv '" + text + "'");
    argv_.push_back(std::move(*element));
  }
  const auto& program = argv_.front();
  if (program.size() != 1 || program.front().placeholder) return invalid("the program itself cannot be a parameter");
  return success();
}

// Literal text and placeholders in turn; never empty.
Result<CommandConfig::Element> CommandConfig::parse_element(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return invalid("contains a NUL");
  Element element{Part{}};
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const bool doubled = at + 1 < text.size() && text[at + 1] == c;
    if (c != '{' && c != '}') {
      element.back().text += c;
    } else if (doubled) {
      element.back().text += c;
      ++at;
    } else {
      const auto end = text.find('}', at);
      const auto name = c == '{' && end != std::string_view::npos ? text.substr(at + 1, end - at - 1) : "";
      if (!param_name(name)) return invalid("'{' must begin a {param}; write {{ and }} for braces");
      element.push_back({std::string(name), true});
      element.push_back({});
      at = end;
    }
  }
  std::erase_if(element,
                [&](const Part& part) { return !part.placeholder && part.text.empty() && element.size() > 1; });
  return element;
}

Status CommandConfig::take_params(const CommandSettings& settings) {
  for (const auto& [name, param_settings] : settings.params) {
    const std::string where = "param '" + name + "'";
    if (!param_name(name)) return invalid(where + ": a name is of letters, digits, '_' and '-', a letter first");
    auto param = Param::check(param_settings);
    if (!param) return param.error().context(where);
    params_.emplace(name, std::move(*param));
  }
  return success();
}

Status CommandConfig::take_numbers(const CommandSettings& settings) {
  constexpr std::int64_t thirty_days = 30 * 24 * 3600;
  const Range ranges[] = {
      {"slots", settings.slots, 1, 256},
      {"timeout_s", settings.timeout_s, 1, thirty_days},
      {"output_bytes", settings.output_bytes, 2, 120 * 1024},
      {"artifact_bytes", settings.artifact_bytes, 0, std::int64_t{1} << 50U},
      {"artifact_files", settings.artifact_files, 0, 256},
  };
  for (const auto& range : ranges) {
    if (range.value >= range.least && range.value <= range.most) continue;
    return invalid(std::string(range.name) + " must be from " + std::to_string(range.least) + " to " +
                   std::to_string(range.most));
  }
  sandbox = settings.sandbox;
  for (const auto code : settings.retry_exit_codes) {
    if (code < 1 || code > 255) return invalid("retry_exit_codes must be from 1 to 255");
    retry_exit_codes.insert(static_cast<int>(code));
  }
  slots = static_cast<int>(settings.slots);
  timeout = std::chrono::seconds(settings.timeout_s);
  output_bytes = static_cast<std::size_t>(settings.output_bytes);
  file_limits.bytes = static_cast<std::uint64_t>(settings.artifact_bytes);
  file_limits.files = static_cast<std::size_t>(settings.artifact_files);
  return success();
}

// Every placeholder must have a parameter, and every parameter a use; otherwise the file has a mistake.
Status CommandConfig::check_uses() const {
  std::set<std::string, std::less<>> used;
  for (const auto& element : argv_) {
    for (const auto& part : element) {
      if (!part.placeholder) continue;
      const auto param = params_.find(part.text);
      if (param == params_.end()) return invalid("argv uses {" + part.text + "}, which params does not describe");
      if (param->second.to_stdin()) return invalid("param '" + part.text + "' is both in argv and the standard input");
      used.insert(part.text);
    }
  }
  int stdins = 0;
  for (const auto& [name, param] : params_) {
    stdins += param.to_stdin() ? 1 : 0;
    if (!param.to_stdin() && !used.contains(name)) return invalid("param '" + name + "' is not used in argv");
  }
  if (stdins > 1) return invalid("only one param can be the standard input");
  return success();
}

bool CommandConfig::needs_files() const {
  return std::any_of(params_.begin(), params_.end(), [](const auto& entry) {
    return entry.second.type() == Param::Type::artifact && !entry.second.default_text();
  });
}

Result<Invocation> CommandConfig::bind(std::string_view input, const std::string& in_dir) const {
  const auto values = values_of(input);
  if (!values) return values.error();
  Invocation invocation;
  for (const auto& element : argv_) invocation.argv.push_back(fill(element, *values, in_dir));
  for (const auto& [name, text] : *values) {
    const Param& param = params_.find(name)->second;
    const bool artifact = param.type() == Param::Type::artifact;
    if (artifact) invocation.artifacts.insert(text);
    if (!param.to_stdin()) continue;
    if (artifact) {
      invocation.stdin_path = in_dir + '/' + text;
    } else {
      invocation.stdin_text = text;
    }
  }
  return invocation;
}

// The text of every parameter.
Result<CommandConfig::Values> CommandConfig::values_of(std::string_view input) const {
  if (!json::well_formed(input)) return invalid("the input is not JSON");
  const bool none = trimmed(input) == "null";  // an omitted input
  const auto object = json::Object::read(none ? "{}" : input);
  if (!object) return invalid("the input must be an object of parameters");
  for (const auto& [key, value] : object->members()) {
    if (!params_.contains(key)) return invalid("unknown param \"" + std::string(cut_front(key, 64)) + "\"");
  }
  Values values;
  for (const auto& [name, param] : params_) {
    const auto value = object->find(name);
    if (!value && !param.default_text()) return invalid("param \"" + name + "\" is missing");
    if (!value) {
      values[name] = *param.default_text();
      continue;
    }
    auto text = param.text(*value);
    if (!text) return text.error().context("param \"" + name + "\"");
    values[name] = std::move(*text);
  }
  return values;
}

JsonText CommandConfig::parameters() const {
  std::string text;
  {
    json::ObjectWriter schema(text);
    schema.string("type", "object");
    {
      json::ObjectWriter properties(schema.key("properties"));
      for (const auto& [name, param] : params_) properties.raw(name, param.schema());
    }
    {
      json::ArrayWriter required(schema.key("required"));
      for (const auto& [name, param] : params_) {
        if (!param.default_text()) required.string(name);
      }
    }
    schema.boolean("additionalProperties", false);
  }
  return text;
}

std::string CommandConfig::fill(const Element& element, const Values& values, const std::string& in_dir) const {
  std::string text;
  for (const auto& part : element) {
    if (!part.placeholder) {
      text += part.text;
      continue;
    }
    const bool artifact = params_.find(part.text)->second.type() == Param::Type::artifact;
    text += artifact ? in_dir + '/' + values.find(part.text)->second : values.find(part.text)->second;
  }
  return text;
}

}  // namespace edgefleet::agent
