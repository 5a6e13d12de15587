#include "common/runtime/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>

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

}  // namespace

Status start(std::string_view program, std::string_view level) {
  static const std::unordered_map<std::string_view, Level> levels{
      {"debug", Level::debug}, {"info", Level::info}, {"warning", Level::warning}, {"error", Level::error}};
  const auto found = levels.find(level);
  if (found == levels.end()) {
    return Error{"log level \"" + std::string(level) + "\" is not one of debug, info, warning, error",
                 ErrorKind::invalid};
  }
  auto logger =
      std::make_shared<spdlog::logger>(std::string(program), std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%-7l%$ %v");
  logger->set_level(to_spdlog(found->second));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return success();
}

void write(Level level, std::string_view text) {
  // One line per message, even if text of a peer has newlines.
  std::string line(text);
  std::replace_if(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  spdlog::default_logger_raw()->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

void Complaints::complain(const std::string& kind, const std::string& text, Level level) {
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    ++count_;
    const Time now = monotonic_now();
    if (kinds_.size() >= most_kinds)
      std::erase_if(kinds_, [&](const auto& k) { return now - k.second.since > window; });
    const bool known = kinds_.count(kind) > 0 || kinds_.size() < most_kinds;
    Tally& entry = kinds_[known ? kind : "one of too many kinds"];
    if (now - entry.since > window) {
      left_out = entry.left_out;
      entry = Tally{now, 0, 0};
    }
    if (entry.written >= burst) {
      ++entry.left_out;
      return;
    }
    ++entry.written;
  }
  write(level, text + (left_out > 0 ? " (" + std::to_string(left_out) + " similar messages were suppressed)" : ""));
}

std::uint64_t Complaints::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace edgefleet::log
