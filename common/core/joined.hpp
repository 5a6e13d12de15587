#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edgefleet {

inline std::string joined(const std::vector<std::string>& words, std::string_view separator = ", ") {
  std::string text;
  for (const auto& word : words) text.append(text.empty() ? "" : separator).append(word);
  return text;
}

}  // namespace edgefleet
