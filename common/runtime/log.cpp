#include "common/runtime/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "common/core/utf8.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

Result<Level> level_named(std::string_view name) {
  static const std::unordered_map<std::string_view, Level> levels{
      {"debug", Level::debug}, {"info", Level::info}, {"warning", Level::warning}, {"error", Level::error}};
  const auto found = levels.find(name);
  if (found != levels.end()) return found->second;
  return Error{"log level \"" + std::string(name) + "\" is not one of debug, info, warning, error", ErrorKind::invalid};
}

}  // namespace

Status start(std::string_view program, std::string_view level) {
  const auto known = level_named(level);
  if (!known) return known.error();
  auto logger =
      std::make_shared<spdlog::logger>(std::string(program), std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%-7l%$ %v");
  logger->set_level(to_spdlog(*known));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return success();
}

Status set_level(std::string_view level) {
  const auto known = level_named(level);
  if (!known) return known.error();
  spdlog::default_logger_raw()->set_level(to_spdlog(*known));
  return success();
}

void write(Level level, std::string_view text) {
  // One line per message, even if text of a peer has newlines.
  const std::string line = without_controls(text);
  spdlog::default_logger_raw()->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

void Complaints::complain(const std::string& kind, const std::string& text, Level level) {
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    ++count_;
    const auto granted = take(tallies_[kind], burst, monotonic_now());
    if (!granted) return;
    left_out = *granted;
  }
  write_with(left_out, text, level);
}

void Complaints::complain_of(const std::string& kind, const std::string& peer, const std::string& text, Level level) {
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    ++count_;
    const Time now = monotonic_now();
    Crowd& crowd = crowds_[kind];
    if (now - crowd.all.since > window) crowd.peers.clear();
    // Once the line bound of the crowd is reached no peer is added, so there are at most that many.
    if (crowd.all.written < crowd_burst && !take(crowd.peers[peer], burst, now)) {
      ++crowd.all.left_out;
      return;
    }
    const auto granted = take(crowd.all, crowd_burst, now);
    if (!granted) return;
    left_out = *granted;
  }
  write_with(left_out, text, level);
}

// None: not to be written. Otherwise the number of messages that were not written since the last window.
std::optional<std::uint64_t> Complaints::take(Tally& tally, int most, Time now) {
  std::uint64_t left_out = 0;
  if (now - tally.since > window) left_out = std::exchange(tally, Tally{now, 0, 0}).left_out;
  if (tally.written >= most) {
    ++tally.left_out;
    return std::nullopt;
  }
  ++tally.written;
  return left_out;
}

void Complaints::write_with(std::uint64_t left_out, const std::string& text, Level level) {
  write(level, text + (left_out > 0 ? " (" + std::to_string(left_out) + " similar messages were suppressed)" : ""));
}

std::uint64_t Complaints::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace edgefleet::log
