#include "common/http_server/message.hpp"

#include <algorithm>
#include <array>

#include "common/core/trimmed.hpp"

namespace edgefleet::http_server {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::optional<unsigned> hex(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char l = lower(c);
  if (l >= 'a' && l <= 'f') return static_cast<unsigned>(l - 'a' + 10);
  return std::nullopt;
}

}  // namespace

bool equal_without_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (equal_without_case(field, name)) return value;
  }
  return {};
}

bool Headers::has(std::string_view name) const { return count(name) > 0; }

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(fields_.begin(), fields_.end(), [&](const auto& f) { return equal_without_case(f.first, name); }));
}

bool Headers::lists(std::string_view name, std::string_view element) const {
  for (const auto& [field, value] : fields_) {
    if (!equal_without_case(field, name)) continue;
    std::string_view rest = value;
    for (bool more = true; more;) {
      const auto comma = rest.find(',');
      more = comma != std::string_view::npos;
      if (equal_without_case(trimmed(rest.substr(0, comma)), element)) return true;
      if (more) rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

const std::string& Request::capture(std::string_view name) const {
  static const std::string none;
  const auto found = captures.find(name);
  return found == captures.end() ? none : found->second;
}

std::optional<std::string> Request::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = std::min(pair.find('='), pair.size());
    if (percent_decode(pair.substr(0, equals), true) != name) continue;
    return percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
  }
  return std::nullopt;
}

ReplyContext::ReplyContext(const Request& request)
    : id(request.id),
      method(request.method),
      path(request.path),
      if_none_match(request.header("If-None-Match")),
      if_range(request.header("If-Range")),
      range(request.header("Range")) {}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus_is_space) c = ' ';
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = hex(text[i + 1]);
      const auto low = hex(text[i + 2]);
      if (!high || !low) return std::nullopt;
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    decoded += c;
  }
  return decoded;
}

std::string_view reason_phrase(int status) {
  struct Known {
    int status;
    std::string_view phrase;
  };
  static constexpr std::array known{
      Known{200, "OK"},
      Known{201, "Created"},
      Known{202, "Accepted"},
      Known{204, "No Content"},
      Known{206, "Partial Content"},
      Known{304, "Not Modified"},
      Known{400, "Bad Request"},
      Known{401, "Unauthorized"},
      Known{403, "Forbidden"},
      Known{404, "Not Found"},
      Known{405, "Method Not Allowed"},
      Known{408, "Request Timeout"},
      Known{409, "Conflict"},
      Known{410, "Gone"},
      Known{411, "Length Required"},
      Known{412, "Precondition Failed"},
      Known{413, "Content Too Large"},
      Known{414, "URI Too Long"},
      Known{415, "Unsupported Media Type"},
      Known{416, "Range Not Satisfiable"},
      Known{417, "Expectation Failed"},
      Known{421, "Misdirected Request"},
      Known{422, "Unprocessable Content"},
      Known{425, "Too Early"},
      Known{429, "Too Many Requests"},
      Known{431, "Request Header Fields Too Large"},
      Known{499, "Client Closed Request"},
      Known{500, "Internal Server Error"},
      Known{501, "Not Implemented"},
      Known{502, "Bad Gateway"},
      Known{503, "Service Unavailable"},
      Known{504, "Gateway Timeout"},
      Known{505, "HTTP Version Not Supported"},
      Known{507, "Insufficient Storage"},
  };
  const auto* found = std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.status == status; });
  return found == known.end() ? "Status" : found->phrase;
}

}  // namespace edgefleet::http_server
