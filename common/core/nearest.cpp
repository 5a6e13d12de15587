#include "common/core/nearest.hpp"

#include <algorithm>

namespace edgefleet {
namespace {

constexpr std::size_t longest = 200;  // the work grows with the square

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, longest);
  b = b.substr(0, longest);
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({changed, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names) {
  const std::size_t most = std::min<std::size_t>(3, std::max<std::size_t>(1, word.size() / 3));
  std::optional<std::string> found;
  std::size_t least = most + 1;
  const auto typed = lower(word);
  for (const auto& name : names) {
    // The distance is at least the difference of the lengths: a long word costs nothing.
    const std::size_t longer = std::max(word.size(), name.size()) - std::min(word.size(), name.size());
    if (longer >= least) continue;
    const std::size_t distance = edit_distance(typed, lower(name));
    if (distance >= least) continue;
    least = distance;
    found = name;
  }
  return found;
}

}  // namespace edgefleet
