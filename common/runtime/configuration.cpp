#include "common/runtime/configuration.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "common/core/counts.hpp"
#include "common/core/nearest.hpp"
#include "common/runtime/toml_depth.hpp"

namespace edgefleet {
namespace {

std::string environment_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return "EDGEFLEET_" + name;
}

// CLI::Range lets NaN pass, since no comparison with it is true.
std::string must_be_finite(const std::string& text) {
  return std::isfinite(std::strtod(text.c_str(), nullptr)) ? std::string() : text + " is not a finite number";
}

// No more than that is read: the program may have other work meanwhile.
Result<std::string> read_bounded(const std::string& path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return invalid(path + " cannot be opened");
  std::string text(most + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return invalid(path + " cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > most) return invalid(path + " has more than " + show_bytes(most));
  return text;
}

}  // namespace

int give_up(const std::string& program, const std::string& message) {
  std::cerr << program << ": " << message << '\n';
  return 1;
}

int wrong_usage(const std::string& program, const std::string& message) {
  std::cerr << program << ": " << message << '\n';
  return 2;
}

Configuration::Configuration(std::string description, std::string program)
    : app_(std::move(description), program), program_(std::move(program)) {
  app_.option_defaults()->always_capture_default();
  app_.set_version_flag("--version", program_ + " " + EDGEFLEET_VERSION);
  app_.add_option("--config", path_, "TOML file with the same options (without the dashes)")
      ->envname("EDGEFLEET_CONFIG");
}

CLI::Option* Configuration::add(CLI::Option* option, const std::string& name, TomlType type) {
  option->envname(environment_name(name));
  if (type == TomlType::number) option->check(must_be_finite);
  options_.push_back({name, option, type});
  return option;
}

void Configuration::log_level(std::string& target) {
  option("log-level", target, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
}

// As text, in the form of a flag's argument; none: another type. A whole number is a number too.
std::optional<std::string> Configuration::as_text(const toml::node& node, TomlType type) {
  if (const auto text = node.value_exact<std::string>(); text && type == TomlType::text) return text;
  if (const auto flag = node.value_exact<bool>(); flag && type == TomlType::boolean) return *flag ? "true" : "false";
  const bool numeric = type == TomlType::integer || type == TomlType::number;
  if (const auto number = node.value_exact<std::int64_t>(); number && numeric) return std::to_string(*number);
  if (const auto number = node.value_exact<double>(); number && type == TomlType::number) {
    std::ostringstream text;
    text << *number;
    return text.str();
  }
  return std::nullopt;
}

CLI::App* Configuration::command(const std::string& name, const std::string& help) {
  app_.require_subcommand(0, 1);
  return app_.add_subcommand(name, help)->fallthrough();
}

std::optional<int> Configuration::parse(int argc, const char* const* argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app_.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app_.exit(version);
  } catch (const CLI::Error& wrong) {
    const auto message = explained(wrong);
    return wrong_usage(program_, message + (message.ends_with('?') ? " See " : "; see ") + program_ + " --help");
  }
  for (const auto& step : {&Configuration::read_file, &Configuration::take_from_file}) {
    if (const auto done = (this->*step)(); !done) return wrong_usage(program_, done.error().message);
  }
  return std::nullopt;
}

// The first option that does not exist, with the one that was meant: the parser names all words, in reverse order.
std::string Configuration::explained(const CLI::Error& error) const {
  const auto words = app_.remaining(true);
  const auto option = std::find_if(words.begin(), words.end(), [](const auto& word) { return word.starts_with('-'); });
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr || option == words.end()) return error.what();
  std::vector<std::string> names{"--config", "--help", "--version"};
  for (const auto& known : options_) names.push_back("--" + known.name);
  const auto near = nearest(option->substr(0, option->find('=')), names);
  return "no such option: " + *option + (near ? "; did you mean " + *near + "?" : "");
}

// A pipe, such as that of a shell's <(...), was emptied at the start: it would look like an empty file.
Status Configuration::read_again(int argc, const char* const* argv) {
  try {
    app_.parse(argc, argv);
  } catch (const CLI::Error& wrong) {
    return invalid(wrong.what());
  }
  std::error_code unknown;
  const auto file = std::filesystem::status(path_, unknown);
  if (!path_.empty() && std::filesystem::exists(file) && !std::filesystem::is_regular_file(file)) {
    return invalid(path_ + " is not a regular file, and so cannot be read again");
  }
  if (auto read = read_file(); !read) return read;
  return take_from_file();
}

bool Configuration::given(const std::string& name) const {
  const auto known = std::find_if(options_.begin(), options_.end(), [&](const auto& one) { return one.name == name; });
  return known != options_.end() && known->option->count() > 0;
}

Status Configuration::read_file() {
  if (path_.empty()) return success();
  std::error_code unknown;
  if (std::filesystem::is_directory(path_, unknown)) return invalid(path_ + " is a folder, not a file");
  const auto text = read_bounded(path_, most_file_bytes);
  if (!text) return text.error();
  if (const auto found = find_too_deep(*text)) {
    return invalid(path_ + ", line " + std::to_string(found->line) + ": " + found->what);
  }
  try {
    file_ = toml::parse(*text, path_);
  } catch (const toml::parse_error& wrong) {
    std::ostringstream at;
    at << path_;
    if (wrong.source().begin.line > 0) at << ", line " << wrong.source().begin.line;
    return Error{at.str() + ": " + std::string(wrong.description()), ErrorKind::invalid};
  }
  return success();
}

Status Configuration::take_from_file() {
  for (const auto& [key, node] : file_) {
    const std::string name(key.str());
    if (tables_.count(name) > 0) continue;
    const auto known = std::find_if(options_.begin(), options_.end(), [&](const auto& o) { return o.name == name; });
    if (known == options_.end()) {
      std::vector<std::string> names(tables_.begin(), tables_.end());
      for (const auto& option : options_) names.push_back(option.name);
      const auto near = nearest(name, names);
      return invalid(place_in(path_, node) + "unknown key `" + name + "`" +
                     (near ? "; did you mean `" + *near + "`?" : ""));
    }
    const auto text = as_text(node, known->type);
    if (!text) {
      return invalid(place_in(path_, node) + "`" + name + "` must be " + std::string(name_of(known->type)));
    }
    if (known->option->count() > 0) continue;  // a flag or the environment has precedence
    try {
      known->option->add_result(*text);
      known->option->run_callback();
    } catch (const CLI::Error& wrong) {
      return invalid(place_in(path_, node) + "`" + name + "`: " + wrong.what());
    }
  }
  return success();
}

}  // namespace edgefleet
