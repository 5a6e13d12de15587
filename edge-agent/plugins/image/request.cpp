#include "edge-agent/plugins/image/request.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iterator>

namespace edgefleet::image {
namespace {

using nlohmann::json;

constexpr std::string_view kPrefix = "image.";
constexpr std::string_view kChain = "image.process";

constexpr Parameter kQuality{.name = "quality", .low = 1, .high = 100, .fallback = 85, .whole = true};

std::string number(double value) {
  return json(value == std::floor(value) ? json(static_cast<std::int64_t>(value)) : json(value)).dump();
}

template <typename Range>
std::string joined(const Range& names) {
  std::string all;
  for (const auto& name : names) all.append(all.empty() ? "" : ", ").append(name);
  return all;
}

std::string parameter_names(const Filter& filter) {
  std::vector<std::string_view> names;
  std::ranges::transform(filter.parameters, std::back_inserter(names), &Parameter::name);
  return joined(names);
}

Error out_of_range(const Parameter& parameter) {
  const std::string name(parameter.name);
  if (!parameter.choices.empty()) return Error{name + " must be one of " + joined(parameter.choices)};
  return Error{name + " must be a " + (parameter.whole ? "whole " : "") + "number from " + number(parameter.low) +
               " to " + number(parameter.high)};
}

Result<std::optional<double>> parse_value(const Parameter& parameter, const json& object) {
  const auto found = object.find(parameter.name);
  if (found == object.end()) return parameter.fallback;
  if (!parameter.choices.empty()) {
    if (!found->is_string()) return out_of_range(parameter);
    const auto choice = std::ranges::find(parameter.choices, found->get_ref<const std::string&>());
    if (choice == parameter.choices.end()) return out_of_range(parameter);
    return std::optional(static_cast<double>(choice - parameter.choices.begin()));
  }
  if (!found->is_number()) return out_of_range(parameter);
  const double value = found->get<double>();
  const bool fits = value >= parameter.low && value <= parameter.high;
  if (!fits || (parameter.whole && value != std::floor(value))) return out_of_range(parameter);
  return std::optional(value);
}

// A misspelt parameter would silently have its default, so unknown keys are refused.
Result<Step> parse_step(const Filter& filter, const json& object, std::span<const std::string_view> other_keys) {
  for (const auto& [key, value] : object.items()) {
    const bool known =
        std::ranges::count(filter.parameters, key, &Parameter::name) + std::ranges::count(other_keys, key) > 0;
    if (!known)
      return Error{std::string(filter.name) + " has no parameter \"" + key + "\"; it has " + parameter_names(filter)};
  }
  Step step{&filter, {}};
  for (const auto& parameter : filter.parameters) {
    auto value = parse_value(parameter, object);
    if (!value) return value.error();
    step.values.push_back(*value);
  }
  if (auto conflict = filter.conflict(step.values); !conflict.empty()) return Error{conflict};
  return step;
}

Error unknown_filter() {
  std::vector<std::string_view> names;
  std::ranges::transform(filters(), std::back_inserter(names), &Filter::name);
  return Error{"name must be one of " + joined(names)};
}

Result<Step> parse_chain_element(const json& element) {
  static constexpr std::array<std::string_view, 1> kOwn{"name"};
  if (!element.is_object()) return Error{"must be an object with a name"};
  const auto name = element.find("name");
  if (name == element.end() || !name->is_string()) return unknown_filter();
  const Filter* filter = find_filter(name->get_ref<const std::string&>());
  if (filter == nullptr) return unknown_filter();
  return parse_step(*filter, element, kOwn);
}

Result<std::vector<Step>> parse_chain(const json& input) {
  static constexpr std::array<std::string_view, 4> kOwn{"image", "filters", "format", "quality"};
  for (const auto& [key, value] : input.items()) {
    if (std::ranges::count(kOwn, key) == 0)
      return Error{"image.process has no parameter \"" + key + "\"; it has " + joined(kOwn)};
  }
  const auto chain = input.find("filters");
  if (chain == input.end() || !chain->is_array() || chain->size() > kMostFilters) {
    return Error{"filters must be a list of at most " + std::to_string(kMostFilters) + " objects"};
  }
  std::vector<Step> steps;
  for (const auto& element : *chain) {
    auto step = parse_chain_element(element);
    if (!step) return step.error().context("filters[" + std::to_string(steps.size()) + "]");
    steps.push_back(*std::move(step));
  }
  return steps;
}

Result<std::vector<Step>> parse_steps(std::string_view capability, const json& input) {
  static constexpr std::array<std::string_view, 3> kOwn{"image", "format", "quality"};
  if (capability == kChain) return parse_chain(input);
  const bool ours = capability.starts_with(kPrefix);
  const Filter* filter = ours ? find_filter(capability.substr(kPrefix.size())) : nullptr;
  if (filter == nullptr) return Error{"capability must be one of " + joined(capabilities())};
  auto step = parse_step(*filter, input, kOwn);
  if (!step) return step.error();
  return std::vector<Step>{*std::move(step)};
}

// The agent writes `file`; a `file` from elsewhere must not be outside the scratch folder.
bool is_below(const std::string& path, const std::string& folder) {
  const auto relative = std::filesystem::path(path).lexically_normal().lexically_relative(
      std::filesystem::path(folder).lexically_normal());
  return !relative.empty() && *relative.begin() != ".." && relative != ".";
}

Result<InlineSource> parse_inline(const json& base64) {
  const std::string allowed = "image.base64 must be base64 of 1 to " + std::to_string(kMostInline) + " bytes";
  if (!base64.is_string() || base64.get_ref<const std::string&>().size() > (kMostInline + 2) / 3 * 4)
    return Error{allowed};
  auto bytes = decode_base64(base64.get_ref<const std::string&>());
  if (!bytes || bytes->empty()) return Error{allowed};
  return InlineSource{*std::move(bytes)};
}

Result<std::variant<FileSource, InlineSource>> parse_source(const json& input, const std::string& scratch) {
  using Source = std::variant<FileSource, InlineSource>;
  const auto image = input.find("image");
  const bool object = image != input.end() && image->is_object();
  if (!object || image->contains("artifact") == image->contains("base64")) {
    return Error{"image must be an object with either artifact or base64"};
  }
  if (const auto base64 = image->find("base64"); base64 != image->end()) {
    auto source = parse_inline(*base64);
    if (!source) return source.error();
    return Source(*std::move(source));
  }
  const auto file = image->find("file");
  if (file == image->end() || !file->is_string()) return Error{"image.artifact has no file in the scratch folder"};
  if (!is_below(file->get_ref<const std::string&>(), scratch))
    return Error{"image.file must be below the scratch folder"};
  return Source(FileSource{file->get<std::string>()});
}

// "Holiday/Köln 1.PNG" -> "K__ln_1"
std::string stem_of(const json& input) {
  const auto name = input["image"].find("name");
  if (name == input["image"].end() || !name->is_string()) return "result";
  std::string stem = std::filesystem::path(name->get_ref<const std::string&>()).stem().string().substr(0, 64);
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  };
  std::ranges::replace_if(stem, [&](char c) { return !harmless(c); }, '_');
  return stem.empty() || stem.front() == '.' ? "result" : stem;
}

Result<std::optional<Format>> parse_format(const json& input) {
  const auto found = input.find("format");
  if (found == input.end()) return std::optional<Format>{};
  const auto* name = std::ranges::find(kFormatNames, found->is_string() ? found->get_ref<const std::string&>() : "");
  if (name == std::end(kFormatNames)) return Error{"format must be one of " + joined(kFormatNames)};
  return std::optional(static_cast<Format>(name - std::begin(kFormatNames)));
}

json number_value(double value) { return json::parse(number(value)); }

json schema_of(const Parameter& parameter) {
  json schema;
  if (!parameter.choices.empty()) {
    schema["enum"] = parameter.choices;
    if (parameter.fallback) schema["default"] = parameter.choices[static_cast<std::size_t>(*parameter.fallback)];
    return schema;
  }
  schema["type"] = parameter.whole ? "integer" : "number";
  schema["minimum"] = number_value(parameter.low);
  schema["maximum"] = number_value(parameter.high);
  if (parameter.fallback) schema["default"] = number_value(*parameter.fallback);
  return schema;
}

json object_of(const json& properties, const std::vector<std::string_view>& required, bool open) {
  return {{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", open}};
}

// What every capability takes beside its own parameters.
json common_properties() {
  const json text{{"type", "string"}};
  const json image{{"type", "object"}, {"properties", {{"artifact", text}, {"base64", text}}}};
  return {{"image", image}, {"format", {{"enum", kFormatNames}}}, {"quality", schema_of(kQuality)}};
}

}  // namespace

std::span<const std::string> capabilities() {
  static const std::vector<std::string> kAll = [] {
    std::vector<std::string> all;
    for (const auto& filter : filters()) all.push_back(std::string(kPrefix).append(filter.name));
    all.emplace_back(kChain);
    return all;
  }();
  return kAll;
}

json parameters() {
  json all;
  for (const auto& filter : filters()) {
    json properties = common_properties();
    for (const auto& parameter : filter.parameters) properties[std::string(parameter.name)] = schema_of(parameter);
    all[std::string(kPrefix).append(filter.name)] = object_of(properties, {"image"}, false);
  }
  std::vector<std::string_view> names;
  std::ranges::transform(filters(), std::back_inserter(names), &Filter::name);
  json properties = common_properties();
  const json step = object_of({{"name", {{"enum", names}}}}, {"name"}, true);
  properties["filters"] = {{"type", "array"}, {"items", step}};
  all[std::string(kChain)] = object_of(properties, {"image", "filters"}, false);
  return all;
}

Result<Request> parse_request(std::string_view capability, const json& input, const std::string& scratch) {
  if (!scratch.starts_with('/')) return Error{"scratch must be an absolute path"};
  if (!input.is_object()) return Error{"input must be an object"};
  auto steps = parse_steps(capability, input);
  if (!steps) return steps.error();
  auto source = parse_source(input, scratch);
  if (!source) return source.error();
  const auto format = parse_format(input);
  if (!format) return format.error();
  const auto quality = parse_value(kQuality, input);
  if (!quality) return quality.error();
  return Request{*std::move(source), stem_of(input), *std::move(steps), *format, static_cast<int>(**quality), scratch};
}

std::optional<std::string> decode_base64(std::string_view text) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static const auto kValues = [] {
    std::array<int, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
      values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int>(i);
    return values;
  }();
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  unsigned group = 0;
  for (std::size_t i = 0; i < text.size() - padding; ++i) {
    const int value = kValues[static_cast<unsigned char>(text[i])];
    if (value < 0) return std::nullopt;
    group = (group << 6U | static_cast<unsigned>(value)) & 0xFFFFFFU;
    if (const auto place = i % 4; place > 0) bytes.push_back(static_cast<char>(group >> (6 - 2 * place) & 0xFFU));
  }
  return bytes;
}

}  // namespace edgefleet::image
