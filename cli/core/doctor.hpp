// What `edgefleet doctor` concludes from what it has seen. To add a check: what it needs goes into Evidence, which the
// command collects, and a function that judges it into the table.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"
#include "common/core/time.hpp"

namespace edgefleet::cli {

enum class Severity { ok, warning, problem };
std::string_view to_string(Severity severity);

struct Finding {
  Severity severity = Severity::ok;
  std::string found;
  std::string todo{};  // empty: nothing
};

// The certificate of a server, as this machine sees it.
struct Seen {
  std::string problem{};        // why there is no verified connection; empty: there is one
  std::optional<WallTime> end{};  // of the certificate; none: it was not seen
};

// A document that was not asked for, or that this login may not see, is null.
struct Evidence {
  WallTime now;
  std::string url;
  bool has_login = false;
  std::string api_problem{};  // why the API does not answer
  std::string refusal{};      // of the login; empty: it is good
  bool open = false;          // there is no setup
  Seen api{};
  std::optional<Duration> clock{};  // how far the coordinator's clock is ahead of ours
  Document ready{};
  Document access{};
  Document broker{};
  Seen broker_seen{};
  Document enrolled{};
  Document accesses{};
  Document trial{};
  std::string trial_problem{};  // why what the broker must refuse was not tried
};

struct Check {
  const char* name;
  // Empty: it does not apply.
  std::vector<Finding> (*judge)(const Evidence&);
};
std::span<const Check> doctor_checks();

struct Examined {
  std::string name;
  Finding finding;
};
std::vector<Examined> examine(const Evidence& evidence);
Severity worst_of(const std::vector<Examined>& results);

// The last line is the next step.
std::string show_results(const std::vector<Examined>& results, const Look& look);
// {"severity","checks":[{"name","severity","found","todo"?}]}
std::string results_json(const std::vector<Examined>& results);

// "Tue, 15 Nov 1994 08:12:31 GMT"
std::optional<WallTime> parse_http_date(const std::string& text);

}  // namespace edgefleet::cli
