#include "edge-agent/executors/llm/ledger.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/system/clock.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration kept_every = std::chrono::seconds(30);

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Ledger::Ledger(std::string path, ExecutorLog log)
    : path_(std::move(path)), log_(std::move(log)), spent_(read_spent(read_file(path_))) {}

std::optional<Exhausted> Ledger::exhausted(const Budget& budget) {
  const std::lock_guard lock(mutex_);
  return llm::exhausted(budget, spent_, wall_now());
}

std::optional<Exhausted> Ledger::take_request(const Budget& budget) {
  const std::lock_guard lock(mutex_);
  if (auto over = llm::exhausted(budget, spent_, wall_now())) return over;
  count_request(spent_);
  changed_ = changed_ || budget.any();
  return std::nullopt;
}

void Ledger::count_tokens(const Budget& budget, std::uint64_t tokens) {
  const std::lock_guard lock(mutex_);
  llm::count_tokens(spent_, tokens);
  changed_ = changed_ || budget.any();
}

void Ledger::keep(bool now) {
  const std::lock_guard one(writing_);
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    if (!changed_ || (!now && monotonic_now() - kept_ < kept_every)) return;
    changed_ = false;
    kept_ = monotonic_now();
    text = write_spent(spent_);
  }
  std::error_code failure;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), failure);
  const std::string partial = path_ + ".partial";
  {
    std::ofstream file(partial);
    // The old content is better than an incomplete file.
    if (!(file << text << std::flush)) {
      return write_log(log_, Severity::warning, "cannot write the budget to " + path_);
    }
  }
  std::filesystem::rename(partial, path_, failure);
}

}  // namespace edgefleet::agent::llm
