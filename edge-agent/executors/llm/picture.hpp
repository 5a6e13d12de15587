// A picture in a message: a data: URL with base64. Other URLs are not fetched: an agent contacts no host that a task
// names.
#pragma once

#include <string>

#include "common/core/result.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {

struct Picture {
  std::string media_type;
  std::string base64;
};

inline Result<Picture> picture_of(const Members& part) {
  const auto where = part.at("image_url");
  const std::string url = is_text(where) ? text_of(where) : Members(where).text("url");
  const auto comma = url.find(',');
  constexpr std::string_view base64 = ";base64";
  const std::string head = comma == std::string::npos ? "" : url.substr(0, comma);
  if (!head.starts_with("data:") || !head.ends_with(base64)) {
    return Error{"`image_url` must be a data: URL with base64; other URLs are not fetched", ErrorKind::invalid};
  }
  return Picture{head.substr(5, head.size() - 5 - base64.size()), url.substr(comma + 1)};
}

}  // namespace edgefleet::agent::llm
