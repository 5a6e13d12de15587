// A task's input as values, checked against the table of filters. Pure; an error names the field and its valid values.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/core/result.hpp"
#include "edge-agent/plugins/image/filters.hpp"

namespace edgefleet::image {

constexpr std::size_t kMostInline = 180 * 1024;  // bytes of a picture in base64, decoded
constexpr std::size_t kMostFilters = 16;         // in one chain

enum class Format { jpeg, png, webp };
constexpr std::string_view kFormatNames[] = {"jpeg", "png", "webp"};  // in the order of Format

struct Step {
  const Filter* filter = nullptr;
  Values values;
};

struct FileSource {
  std::string path;  // absolute, below the scratch folder
};
struct InlineSource {
  std::string bytes;
};

struct Request {
  std::variant<FileSource, InlineSource> source;
  std::string stem;  // of the result's file name: [A-Za-z0-9._-]{1,64}, no leading dot
  std::vector<Step> steps;
  std::optional<Format> format;  // none: that of the input
  int quality = 85;              // 1 to 100; PNG ignores it
  std::string scratch;           // absolute
};

std::span<const std::string> capabilities();
nlohmann::json parameters();  // the JSON Schema of each capability's input

Result<Request> parse_request(std::string_view capability, const nlohmann::json& input, const std::string& scratch);

// Strict: no white space, padding as it must be.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace edgefleet::image
