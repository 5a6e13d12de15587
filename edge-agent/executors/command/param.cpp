#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>

#include "common/protocol/decimal.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/command/config.hpp"
#include "edge-agent/executors/files/artifacts.hpp"

namespace edgefleet::agent {
namespace {

constexpr std::array<std::pair<std::string_view, Param::Type>, 5> types{{{"string", Param::Type::string},
                                                                         {"integer", Param::Type::integer},
                                                                         {"number", Param::Type::number},
                                                                         {"boolean", Param::Type::boolean},
                                                                         {"artifact", Param::Type::artifact}}};

bool numeric(Param::Type type) { return type == Param::Type::integer || type == Param::Type::number; }

// A number without the trailing zeros of std::to_string: "0.5", "3".
std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto [end, failure] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

struct ScalarAsJson {
  std::string operator()(const std::string& text) const { return json::quoted(text); }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return shortest(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
};

constexpr double smallest_integer = -0x1p63;

// 1.0 and 1e2 are integers too: only the value counts.
std::optional<std::int64_t> integer_in(std::string_view value) {
  const auto number = json::Decimal::read(value);
  return number ? number->as_integer() : std::nullopt;
}

bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

Result<Param> Param::check(const ParamSettings& settings) {
  const auto type = std::find_if(types.begin(), types.end(), [&](const auto& t) { return t.first == settings.type; });
  if (type == types.end()) {
    return invalid("type '" + settings.type + "' is not one of string, integer, number, boolean, artifact");
  }
  Param param;
  param.type_ = type->second;
  param.to_stdin_ = settings.to_stdin;
  if (param.to_stdin_ && param.type_ != Type::string && param.type_ != Type::artifact) {
    return invalid("only a string or an artifact can be the standard input");
  }
  if (auto set = param.set_pattern(settings); !set) return set.error();
  if (auto set = param.set_range(settings); !set) return set.error();
  if (auto set = param.set_values(settings); !set) return set.error();
  return param;
}

Status Param::set_pattern(const ParamSettings& settings) {
  constexpr std::int64_t longest = 4096;
  const bool anything = to_stdin_ && !settings.pattern;
  const std::int64_t most = anything ? static_cast<std::int64_t>(limits::input_bytes) : longest;
  max_length_ = anything ? limits::input_bytes : 1024;
  if (settings.max_length) {
    if (type_ != Type::string) return invalid("max_length is for strings only");
    if (*settings.max_length < 1 || *settings.max_length > most) {
      return invalid("max_length must be from 1 to " + std::to_string(most));
    }
    max_length_ = static_cast<std::size_t>(*settings.max_length);
  }
  if (!settings.pattern) return success();
  if (type_ != Type::string) return invalid("pattern is for strings only");
  auto pattern = Pattern::compile(*settings.pattern);
  if (!pattern) return pattern.error();
  pattern_ = std::move(*pattern);
  return success();
}

Status Param::set_range(const ParamSettings& settings) {
  if ((settings.min || settings.max) && !numeric(type_)) return invalid("min and max are for numbers only");
  const auto bad = [](const std::optional<double>& bound) { return bound && !std::isfinite(*bound); };
  if (bad(settings.min) || bad(settings.max)) return invalid("min and max must be finite");
  min_ = settings.min.value_or(0);
  max_ = settings.max;
  if (max_ && *max_ < *min_) {
    return invalid("max is below min" + std::string(settings.min ? "" : " (default 0)"));
  }
  return success();
}

// Choices and the default are checked by the same rules as the values of a task.
Status Param::set_values(const ParamSettings& settings) {
  if (type_ == Type::artifact && (settings.default_value || !settings.choices.empty())) {
    return invalid("an artifact has neither choices nor a default");
  }
  std::vector<std::string> choices;
  for (const auto& choice : settings.choices) {
    auto text = read(std::visit(ScalarAsJson{}, choice));
    if (!text) return text.error().context("choices");
    if (text->find('\0') != std::string::npos) return invalid("choices: contains a NUL");
    choices.push_back(std::move(*text));
  }
  choices_ = std::move(choices);
  if (!settings.default_value) return success();
  auto text = this->text(std::visit(ScalarAsJson{}, *settings.default_value));
  if (!text) return text.error().context("default");
  default_text_ = std::move(*text);
  return success();
}

Result<std::string> Param::text(std::string_view value) const {
  auto text = read(value);
  if (!text) return text;
  if (auto checked = check_text(*text); !checked) return checked.error();
  return text;
}

// Checks the type only. A number keeps its received text, but zero has one form: "-0" would look like an option.
Result<std::string> Param::read(std::string_view value) const {
  switch (type_) {
    case Type::string:
      if (auto text = json::as_string(value)) return *text;
      return invalid("must be a string");
    case Type::integer:
      if (const auto number = integer_in(value)) return std::to_string(*number);
      return invalid("must be an integer");
    case Type::number:
      if (const auto number = json::Decimal::read(value)) return std::string(number->zero() ? "0" : value);
      return invalid("must be a number");
    case Type::boolean:
      if (json::as_bool(value)) return std::string(value);
      return invalid("must be true or false");
    case Type::artifact:
      break;
  }
  const auto object = json::Object::read(value);
  const auto id = object ? object->find("artifact") : std::nullopt;
  const auto text = id ? json::as_string(*id) : std::nullopt;
  if (!text || !valid_artifact_id(*text)) return invalid("must be an artifact: {\"artifact\":\"sha256-...\"}");
  return *text;
}

Status Param::check_text(const std::string& text) const {
  if (!choices_.empty()) {
    const auto same = [&](const std::string& choice) {
      return choice == text || (type_ == Type::number && json::Decimal::read(choice) == json::Decimal::read(text));
    };
    if (std::any_of(choices_.begin(), choices_.end(), same)) return success();
    std::string all;
    for (const auto& choice : choices_) all += (all.empty() ? "" : ", ") + choice;
    return invalid("must be one of: " + all);
  }
  if (type_ == Type::string) return check_string(text);
  return numeric(type_) ? check_range(text) : success();
}

Status Param::check_string(const std::string& text) const {
  if (text.size() > max_length_) return invalid("is longer than " + std::to_string(max_length_) + " bytes");
  if (!to_stdin_ && text.find('\0') != std::string::npos) return invalid("contains a NUL");
  if (pattern_) {
    if (pattern_->matches(text)) return success();
    return invalid("does not match the pattern " + pattern_->str());
  }
  if (to_stdin_) return success();
  if (text.empty()) return invalid("is empty");
  // Programs would interpret such a word as an option.
  if (text.front() == '-') return invalid("begins with '-'");
  if (std::any_of(text.begin(), text.end(), control)) return invalid("contains a control character");
  return success();
}

Status Param::check_range(const std::string& number) const {
  const auto value = json::Decimal::read(number);
  if (min_ && value < json::Decimal::read(shortest(*min_))) return invalid("is below " + shortest(*min_));
  if (max_ && value > json::Decimal::read(shortest(*max_))) return invalid("is above " + shortest(*max_));
  return success();
}

// An integer has 64 bits: the coordinator must refuse the same values.
std::optional<std::string> Param::least() const {
  if (type_ == Type::integer && (!min_ || *min_ <= smallest_integer)) {
    return std::to_string(std::numeric_limits<std::int64_t>::min());
  }
  return min_ ? std::optional(shortest(*min_)) : std::nullopt;
}
std::optional<std::string> Param::most() const {
  if (type_ == Type::integer && (!max_ || *max_ >= -smallest_integer)) {
    return std::to_string(std::numeric_limits<std::int64_t>::max());
  }
  return max_ ? std::optional(shortest(*max_)) : std::nullopt;
}

JsonText Param::schema() const {
  if (type_ == Type::artifact) {
    return R"({"type":"object","properties":{"artifact":{"type":"string"}},"required":["artifact"]})";
  }
  const auto type = std::find_if(types.begin(), types.end(), [&](const auto& t) { return t.second == type_; });
  const auto as_json = [&](const std::string& text) { return type_ == Type::string ? json::quoted(text) : text; };
  std::string schema;
  {
    json::ObjectWriter object(schema);
    object.string("type", type->first);
    if (default_text_) object.raw("default", as_json(*default_text_));
    if (pattern_) object.string("pattern", pattern_->str());
    if (!choices_.empty()) {
      json::ArrayWriter values(object.key("enum"));
      for (const auto& choice : choices_) values.next() += as_json(choice);
    } else if (numeric(type_)) {
      if (const auto bound = least()) object.raw("minimum", *bound);
      if (const auto bound = most()) object.raw("maximum", *bound);
    } else if (type_ == Type::string) {
      if (!pattern_ && !to_stdin_) object.integer("minLength", 1);
      object.unsigned_integer("maxLength", max_length_);  // a bound on bytes is one on characters
    }
  }
  return schema;
}

}  // namespace edgefleet::agent
