#include "coordinator/store/attempts.hpp"

#include <algorithm>

#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::coordinator {

std::string encode_attempts(const std::vector<Attempt>& attempts) {
  std::string out;
  {
    json::ArrayWriter array(out);
    for (const Attempt& attempt : attempts) {
      json::ObjectWriter object(array.next());
      object.integer("n", attempt.n);
      object.string("agent", attempt.agent.str());
      object.string("session", attempt.session.str());
      object.string("state", to_string(attempt.state));
      object.boolean("spent", attempt.spent);
      object.integer("assigned_at", attempt.assigned_at.unix_ms);
      if (attempt.started_at) object.integer("started_at", attempt.started_at->unix_ms);
      if (attempt.ended_at) object.integer("ended_at", attempt.ended_at->unix_ms);
      if (attempt.error) protocol::append_error(object.key("error"), *attempt.error);
    }
  }
  return out;
}

Result<std::vector<Attempt>> decode_attempts(std::string_view text) {
  const auto slices = json::well_formed(text) ? json::elements(text) : std::nullopt;
  if (!slices) return Error{"the attempts are not a JSON array"};
  constexpr auto any = std::numeric_limits<std::int64_t>::max();
  std::vector<Attempt> all;
  for (const auto slice : *slices) {
    json::Fields fields(slice);
    const auto time = [&](std::string_view name) -> std::optional<WallTime> {
      const auto ms = fields.integer(name, 0, any);
      return ms ? std::optional(WallTime{*ms}) : std::nullopt;
    };
    Attempt attempt;
    attempt.n = static_cast<int>(fields.integer("n", 1, std::numeric_limits<int>::max()).value_or(1));
    attempt.agent = fields.name<AgentName>("agent", name_rule).value_or(AgentName{});
    attempt.session = SessionId::parse(fields.string("session").value_or("")).value_or(SessionId{});
    attempt.state = parse_attempt_state(fields.string("state").value_or("")).value_or(AttemptState::lost);
    attempt.spent = fields.boolean("spent").value_or(true);
    attempt.assigned_at = time("assigned_at").value_or(WallTime{});
    attempt.started_at = time("started_at");
    attempt.ended_at = time("ended_at");
    if (const auto error = fields.find("error")) {
      if (auto decoded = protocol::decode_error(*error)) attempt.error = std::move(*decoded);
    }
    if (!fields.ok()) return fields.error();
    all.push_back(std::move(attempt));
  }
  return all;
}

}  // namespace edgefleet::coordinator
