#include "cli/core/access_view.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "cli/core/table.hpp"
#include "cli/core/times.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::string_view https = "https://";
constexpr std::size_t fingerprint_digits = 64;

// JSON has no leading zeros.
std::string strip_zeros(const std::string& digits) {
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return {};
  const auto first = digits.find_first_not_of('0');
  return first == std::string::npos ? "0" : digits.substr(first);
}

std::string text_cell(const Document& row, const char* key) { return printable(text_of(row, key)); }

std::string time_cell(const Document& row, const char* key) {
  const auto at = instant_of(row, key);
  return at ? show_instant(*at) : std::string();
}

std::string list_cell(const Document& row, const char* key) {
  std::string text;
  for (const auto& one : member_of(row, key)) {
    if (one.is_string()) text += (text.empty() ? "" : ", ") + printable(one.get<std::string>());
  }
  return text;
}

// "1200 of 50000"
std::string tokens_cell(const Document& row) {
  const auto used = count_of(row, "tokens_today");
  const auto most = count_of(row, "tokens_per_day");
  if (used == 0 && most == 0) return {};
  return std::to_string(used) + (most > 0 ? " of " + std::to_string(most) : std::string());
}

}  // namespace

std::string show_accesses(const Document& answer, const Look& look) {
  Table table{{{"NAME"},
               {"ROLE"},
               {"MODELS", false, true},
               {"CAPABILITIES", false, true},
               {"TOKENS TODAY"},
               {"CREATED"},
               {"EXPIRES"}},
              {}};
  for (const auto& row : member_of(answer, "accesses")) {
    table.rows.push_back({text_cell(row, "name"), text_cell(row, "role"), list_cell(row, "models"),
                          list_cell(row, "capabilities"), tokens_cell(row), time_cell(row, "created_at"),
                          time_cell(row, "expires_at")});
  }
  return render(table, look);
}

std::string show_join_tokens(const Document& answer, const Look& look) {
  Table table{{{"ID"}, {"USED"}, {"FOR"}, {"EXPIRES"}, {"BY"}}, {}};
  for (const auto& row : member_of(answer, "join_tokens")) {
    table.rows.push_back({text_cell(row, "id"),
                          std::to_string(count_of(row, "used")) + " of " + std::to_string(count_of(row, "uses")),
                          text_cell(row, "name"), time_cell(row, "expires_at"), text_cell(row, "created_by")});
  }
  if (table.rows.empty()) return "no join tokens; `edgefleet join-token create` makes one\n";
  return render(table, look);
}

std::string show_join_requests(const Document& answer, const Look& look) {
  Table table{{{"NAME"}, {"ADDRESS"}, {"ASKED"}}, {}};
  for (const auto& row : member_of(answer, "join_requests")) {
    table.rows.push_back({text_cell(row, "name"), text_cell(row, "address"), time_cell(row, "asked_at")});
  }
  if (table.rows.empty()) return "no machine waits; on a new one, run edgefleet-agent join HOST\n";
  return render(table, look) + "accept one by the code on its own screen: edgefleet agents accept CODE\n";
}

std::string show_unknown_agents(const Document& answer, const Look& look) {
  Table table{{{"NAME"}, {"SERIAL"}, {"ADDRESS"}, {"SEEN"}}, {}};
  for (const auto& row : member_of(answer, "unknown_agents")) {
    table.rows.push_back(
        {text_cell(row, "name"), text_cell(row, "serial"), text_cell(row, "address"), time_cell(row, "seen_at")});
  }
  if (table.rows.empty()) return "no agent with a certificate that the coordinator does not know has been seen\n";
  return render(table, look) +
         "they were enrolled after the backup that was restored; one that you know: edgefleet agents readmit NAME\n"
         "any other: edgefleet agents revoke NAME\n";
}

std::string show_audit(const Document& answer, const Look& look) {
  Table table{{{"TIME"}, {"WHO"}, {"WHAT"}, {"ABOUT", false, true}}, {}};
  for (const auto& row : member_of(answer, "entries")) {
    table.rows.push_back(
        {time_cell(row, "at"), text_cell(row, "who"), text_cell(row, "what"), text_cell(row, "about")});
  }
  return render(table, look);
}

Result<std::string> secret_of(const Document& answer, const char* field) {
  auto secret = text_of(answer, field);
  if (!secret.empty() && std::ranges::all_of(secret, [](char c) { return c > ' ' && c < '\x7f'; })) return secret;
  return Error{std::string("the answer has no `") + field +
               "`: it is not from a coordinator after setup; check the URL"};
}

Result<std::vector<std::string>> expanded_names(const std::string& text) {
  const auto open = text.find('{'), dots = text.find("..", open), close = text.find('}', dots);
  if (open == std::string::npos) return std::vector<std::string>{text};
  const auto numbers = [&](std::size_t from, std::size_t to) {
    return to == std::string::npos ? std::nullopt : json::as_integer(strip_zeros(text.substr(from, to - from)));
  };
  const auto first = numbers(open + 1, dots);
  const auto last = dots == std::string::npos ? std::nullopt : numbers(dots + 2, close);
  constexpr std::int64_t most = 1000;
  if (!first || !last || *first < 0 || *last < *first || *last - *first >= most) {
    return invalid("'" + text + "' has no range of up to 1000 numbers, like worker-{01..10}");
  }
  const std::size_t digits = dots - open - 1;
  std::vector<std::string> names;
  for (std::int64_t i = *first; i <= *last; ++i) {
    std::string number = std::to_string(i);
    number.insert(0, digits > number.size() ? digits - number.size() : 0, '0');
    names.push_back(text.substr(0, open) + number + text.substr(close + 1));
  }
  return names;
}

std::vector<std::string> parts_of(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream text(list);
  for (std::string part; std::getline(text, part, ',');) {
    if (const auto one = trimmed(part); !one.empty()) parts.emplace_back(one);
  }
  return parts;
}

Result<LoginAddress> parse_login_address(const std::string& text) {
  const auto mark = text.find('#');
  LoginAddress address{text.substr(0, mark), {}};
  if (address.url.find("://") == std::string::npos) address.url.insert(0, https);
  const bool plain = std::ranges::all_of(address.url, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!plain || !address.url.starts_with(https) || address.url.find_first_of("@?") != std::string::npos) {
    return invalid("'" + text + "' is not of the form https://HOST:PORT#FINGERPRINT");
  }
  if (mark == std::string::npos) return address;
  for (const char c : text.substr(mark + 1)) {
    if (c != ':' && c != ' ') address.fingerprint += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (address.fingerprint.size() == fingerprint_digits &&
      address.fingerprint.find_first_not_of("0123456789abcdef") == std::string::npos) {
    return address;
  }
  return invalid("what follows # in '" + text + "' is no fingerprint: it must be the " +
                 std::to_string(fingerprint_digits) + " hexadecimal digits of the SHA-256 of the fleet's CA");
}

std::string in_groups(const std::string& fingerprint) {
  std::string text;
  for (std::size_t i = 0; i < fingerprint.size(); ++i) {
    if (i > 0 && i % 4 == 0) text += ' ';
    text += fingerprint[i];
  }
  return text;
}

}  // namespace edgefleet::cli
