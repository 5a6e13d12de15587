#include "cli/core/progress.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cli/core/text.hpp"
#include "cli/core/times.hpp"

namespace edgefleet::cli {
namespace {

constexpr Duration window = std::chrono::seconds(10);

std::string show_rate(double rate) {
  if (rate >= 10) return grouped(static_cast<std::uint64_t>(std::llround(rate))) + "/s";
  std::array<char, 32> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.1f/s", rate);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

void add_count(std::string& text, std::uint64_t number, const char* what) {
  if (number > 0) text += ", " + grouped(number) + " " + what;
}

std::string rest_of_line(const BatchCounts& counts, std::optional<double> rate) {
  std::string text;
  add_count(text, counts.running, "running");
  add_count(text, counts.failed, "failed");
  add_count(text, counts.cancelled, "cancelled");
  add_count(text, counts.expired, "expired");
  add_count(text, counts.purged, "no longer kept");
  if (!rate || counts.ended()) return text;
  text += ", " + show_rate(*rate);
  if (*rate <= 0) return text;
  const auto seconds = static_cast<double>(counts.total - counts.done()) / *rate;
  if (seconds < 1e8)
    text += ", " + show_duration(std::chrono::seconds(static_cast<std::int64_t>(seconds + 1))) + " left";
  return text;
}

}  // namespace

BatchCounts& BatchCounts::operator+=(const BatchCounts& other) {
  total += other.total;
  running += other.running;
  succeeded += other.succeeded;
  failed += other.failed;
  cancelled += other.cancelled;
  expired += other.expired;
  purged += other.purged;
  return *this;
}

void RateMeter::add(Time now, std::uint64_t done) {
  samples_.emplace_back(now, done);
  // One sample that is older than the window stays, so that the rate covers the whole window.
  while (samples_.size() > 2 && now - samples_[1].first >= window) samples_.pop_front();
}

std::optional<double> RateMeter::per_second() const {
  if (samples_.size() < 2 || samples_.back().second < samples_.front().second) return std::nullopt;
  const std::chrono::duration<double> span = samples_.back().first - samples_.front().first;
  if (span.count() < 0.2) return std::nullopt;
  return static_cast<double>(samples_.back().second - samples_.front().second) / span.count();
}

std::string progress_line(const BatchCounts& counts, std::optional<double> rate) {
  return grouped(counts.done()) + " of " + grouped(counts.total) + " done" + rest_of_line(counts, rate);
}

std::string bar(double share, std::size_t width) {
  const auto bounded = std::clamp(share, 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(bounded * static_cast<double>(width));
  std::string text(filled, '=');
  if (filled < width) text += '>';
  text.resize(width, ' ');
  // Rounded down: 100 % means all.
  const auto percent = std::to_string(static_cast<int>(bounded * 100));
  return "[" + text + "] " + pad(percent, 3, true) + " %";
}

std::string progress_bar(const BatchCounts& counts, std::optional<double> rate, int width) {
  const auto share = counts.total == 0 ? 1.0 : static_cast<double>(counts.done()) / static_cast<double>(counts.total);
  const auto columns = static_cast<std::size_t>(std::max(width, 20));
  const auto text = grouped(counts.done()) + " of " + grouped(counts.total) + rest_of_line(counts, rate);
  const auto length = std::clamp<std::size_t>(columns > text.size() + 11 ? columns - text.size() - 11 : 0, 8, 24);
  return fit(bar(share, length) + "  " + text, columns);
}

std::string batch_summary(const BatchCounts& counts, Duration took) {
  auto text = counted(counts.total, "task", "tasks") + ": " + grouped(counts.succeeded) + " succeeded";
  add_count(text, counts.failed, "failed");
  add_count(text, counts.cancelled, "cancelled");
  add_count(text, counts.expired, "expired");
  add_count(text, counts.purged, "no longer kept");
  const auto open = counts.total - std::min(counts.total, counts.done());
  add_count(text, open, "unfinished");
  const auto seconds = std::chrono::duration<double>(took).count();
  text += ", in " + show_duration(took);
  if (seconds > 0.001) text += " (" + show_rate(static_cast<double>(counts.done()) / seconds) + ")";
  return text;
}

}  // namespace edgefleet::cli
