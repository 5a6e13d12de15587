#include "common/runtime/configuration.hpp"

#include <algorithm>
#include <iostream>
#include <sstream>

namespace edgefleet {
namespace {

constexpr int wrong_usage = 2;

std::string environment_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return "EDGEFLEET_" + name;
}

std::string where(const toml::node& node) { return "line " + std::to_string(node.source().begin.line); }

// As text, the way a flag would bring it.
std::optional<std::string> as_text(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto number = node.value_exact<double>()) {
    std::ostringstream text;
    text << *number;
    return text.str();
  }
  return std::nullopt;
}

}  // namespace

int give_up(const std::string& program, const std::string& message) {
  std::cerr << program << ": " << message << '\n';
  return 1;
}

Configuration::Configuration(std::string description, std::string program)
    : app_(std::move(description), program), program_(std::move(program)) {
  app_.option_defaults()->always_capture_default();
  app_.set_version_flag("--version", program_ + " " + EDGEFLEET_VERSION);
  app_.add_option("--config", path_, "TOML file with the same options (without the dashes)")
      ->envname("EDGEFLEET_CONFIG");
}

CLI::Option* Configuration::add(CLI::Option* option, const std::string& name) {
  option->envname(environment_name(name));
  options_.emplace_back(name, option);
  return option;
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
    std::cerr << program_ << ": " << wrong.what() << "; see " << program_ << " --help\n";
    return wrong_usage;
  }
  for (const auto& step : {&Configuration::read_file, &Configuration::take_from_file}) {
    if (const auto done = (this->*step)(); !done) {
      std::cerr << program_ << ": " << done.error().message << '\n';
      return wrong_usage;
    }
  }
  return std::nullopt;
}

Status Configuration::read_file() {
  if (path_.empty()) return success();
  try {
    file_ = toml::parse_file(path_);
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
    const auto known = std::find_if(options_.begin(), options_.end(), [&](const auto& o) { return o.first == name; });
    if (known == options_.end()) {
      return Error{path_ + ", " + where(node) + ": unknown key `" + name + "`", ErrorKind::invalid};
    }
    if (known->second->count() > 0) continue;  // a flag or the environment has said it
    const auto text = as_text(node);
    if (!text) return Error{path_ + ", " + where(node) + ": `" + name + "` is not a plain value", ErrorKind::invalid};
    try {
      known->second->add_result(*text);
      known->second->run_callback();
    } catch (const CLI::Error& wrong) {
      return Error{path_ + ", " + where(node) + ": `" + name + "`: " + wrong.what(), ErrorKind::invalid};
    }
  }
  return success();
}

}  // namespace edgefleet
