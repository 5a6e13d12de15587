#include "edge-agent/identity/renewal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "common/core/backoff.hpp"
#include "common/http/client.hpp"
#include "common/http/problem.hpp"
#include "common/pki/request.hpp"
#include "common/pki/revocation.hpp"
#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::agent {
namespace {

constexpr std::size_t most_answer = pki::most_crl_text;
constexpr Duration between_questions = std::chrono::minutes(1);  // of an ephemeral agent: whether it is known

std::optional<int> number(std::string_view digits) {
  int value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole = failure == std::errc{} && end == digits.data() + digits.size();
  return whole && value >= 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

bool renewal_due(std::int64_t certificate_end, std::int64_t now, std::int64_t life) {
  return now >= certificate_end - life / 3;
}

bool ends_soon(std::int64_t certificate_end, std::int64_t now, std::int64_t life) {
  return now >= certificate_end - life / 12;
}

// "Sun, 06 Nov 1994 08:49:37 GMT": the only form that is sent today. Not with time_t, which may have 32 bits.
std::optional<std::int64_t> http_date(std::string_view text) {
  constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") return std::nullopt;
  const auto* month_name = std::ranges::find(months, text.substr(8, 3));
  const auto day = number(text.substr(5, 2)), year = number(text.substr(12, 4));
  const auto hour = number(text.substr(17, 2)), minute = number(text.substr(20, 2)),
             second = number(text.substr(23, 2));
  if (month_name == months.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(month_name - months.begin()) + 1),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + *hour) * 60 + *minute) * 60 + *second;
}

std::optional<RenewalPlan::Line> RenewalPlan::failed(Time now, std::int64_t own_date, bool was_due,
                                                     const std::string& why) {
  ++failures_;
  const bool soon = ends_soon(end_, own_date, life_);
  if (!was_due && !soon) return std::nullopt;
  if (told_at_ && now - *told_at_ < between_lines) return std::nullopt;
  told_at_ = now;
  return Line{soon, std::string("the certificate of this agent cannot be renewed yet") +
                        (soon ? ", and it ends soon or has ended" : "") + ": " + why + "; trying again"};
}

Duration RenewalPlan::pause() const {
  const Duration part{std::chrono::seconds(std::max<std::int64_t>(life_ / 24, 1))};  // so that none is missed
  const Duration usual = failures_ > 0 ? Backoff{first_pause, longest_pause}.ceiling(failures_) : between_looks;
  return std::min(usual, part);
}

namespace {

// One look at the coordinator. Each has connections of its own, which use the certificate that is there now.
class Look {
 public:
  Look(const std::string& work, const Identity& identity, const std::stop_token& stop)
      : work_(work),
        identity_(identity),
        client_(identity.coordinator, {"the coordinator's port for agents", "is edgefleet-coordinator running there?"},
                {.ca = IdentityFiles(work).ca(),
                 .certificate = IdentityFiles(work).certificate(),
                 .key = IdentityFiles(work).key()}) {
    options_.stop = stop;
    options_.most_bytes = most_answer;
  }

  // The coordinator's date. No value: it sends none.
  Result<std::optional<std::int64_t>> date() {
    const auto answer = http::expect_success(client_.get("/health", options_));
    if (!answer) return answer.error();
    const auto header = answer->headers.find("date");
    return header == answer->headers.end() ? std::nullopt : http_date(header->second);
  }

  // Whether it knows this agent's certificate; an error if it cannot be asked.
  Result<bool> knows() {
    const auto answer = client_.get(std::string(join::crl_path), options_);
    if (!answer) return answer.error();
    return answer->status != 403;
  }

  // The end of the new certificate.
  Result<std::int64_t> renew() {
    const auto key = load_key(work_);
    if (!key) return key.error();
    const auto request = pki::make_request(*key, identity_.name);
    if (!request) return request.error();
    const auto answer = http::expect_success(
        client_.post(std::string(join::renew_path), join::encode(join::Renewal{*request}), options_));
    if (!answer) return answer.error();
    const auto joined = join::decode_joined(answer->body);
    if (!joined) return joined.error().context("the coordinator's answer");
    if (auto kept = keep_renewed(work_, *joined); !kept) return kept.error();
    const auto certificate = pki::Certificate::from_pem(joined->certificate);
    if (!certificate) return certificate.error();
    return certificate->not_after();
  }

 private:
  const std::string& work_;
  const Identity& identity_;
  http::Options options_;
  http::Client client_;
};

void look(RenewalPlan& plan, const std::string& work, const Identity& identity, const std::stop_token& stop) {
  const std::int64_t own = wall_now().unix_ms / 1000;
  Look coordinator(work, identity, stop);
  const auto date = coordinator.date();
  const bool due = date && plan.due(*date, own);
  if (date && !due) return plan.fine();
  const auto end = due ? coordinator.renew() : Result<std::int64_t>(date.error());
  if (end) {
    plan.renewed(*end);
    return log::info("the certificate of this agent was renewed; it is used from the next connection on");
  }
  if (stop.stop_requested()) return;
  if (const auto line = plan.failed(monotonic_now(), own, due, end.error().message)) {
    log::write(line->warning ? log::Level::warning : log::Level::info, line->text);
  }
}

}  // namespace

bool is_forgotten(const std::string& work, const Identity& identity, const std::stop_token& stop) {
  const auto known = Look(work, identity, stop).knows();
  return known && !*known;
}

void keep_renewing(const std::stop_token& stop, const std::string& work, const Identity& identity,
                   const std::function<void()>& forgotten) {
  RenewalPlan plan(identity.certificate_end, identity.certificate_life);
  std::mutex mutex;
  std::condition_variable_any rings;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    if (identity.ephemeral && is_forgotten(work, identity, stop)) return forgotten();
    look(plan, work, identity, stop);
    const Duration pause = identity.ephemeral ? std::min(plan.pause(), between_questions) : plan.pause();
    rings.wait_for(lock, stop, pause, [] { return false; });
  }
}

}  // namespace edgefleet::agent
