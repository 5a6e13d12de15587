// /api/v1/accesses and /api/v1/audit
#include "common/protocol/fields.hpp"
#include "common/system/clock.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/api/publishing.hpp"
#include "coordinator/views/views.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t usual_entries = 100;
constexpr std::int64_t most_entries = 1000;
constexpr Duration longest_access = std::chrono::hours(24 * 3650);
constexpr std::int64_t most_tokens_per_day = 1'000'000'000'000;
constexpr Duration longest_overlap = std::chrono::hours(24 * 90);

struct NewAccess {
  std::string name;
  Role role = Role::observe;
  AccessLimits limits;
  bool again = false;
};

Result<NewAccess> read_new_access(const std::string& body) {
  auto fields = json::Fields::untrusted(body);
  fields.allow({"name", "role", "models", "capabilities", "per_minute", "tokens_per_day", "expires_after_ms", "again"});
  NewAccess access;
  fields.require("name");
  fields.require("role");
  access.name = fields.string("name").value_or("");
  const auto role = parse_role(fields.string("role").value_or(""));
  if (fields.ok() && !role) fields.fail("`role` must be observe, chat, submit, operate or admin");
  access.role = role.value_or(Role::observe);
  access.limits.models = fields.strings("models");
  access.limits.capabilities = fields.strings("capabilities");
  access.limits.per_minute = fields.integer("per_minute", 1, 1'000'000'000).value_or(0);
  access.limits.tokens_per_day = fields.integer("tokens_per_day", 1, most_tokens_per_day).value_or(0);
  if (const auto after = fields.milliseconds("expires_after_ms", std::chrono::seconds(1), longest_access)) {
    access.limits.expires = WallTime{wall_now().unix_ms + to_ms(*after)};
  }
  access.again = fields.boolean("again").value_or(false);
  if (!fields.ok()) return fields.error();
  return access;
}

// `used`: the tokens of each of them today.
std::string accesses_view(const std::vector<Access>& all, const std::vector<std::uint64_t>& used) {
  std::string body;
  {
    json::ObjectWriter answer(body);
    json::ArrayWriter array(answer.key("accesses"));
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Access& access = all[i];
      json::ObjectWriter object(array.next());
      object.string("name", access.name);
      object.string("role", to_string(access.role));
      if (!access.owner.empty()) object.string("owner", access.owner);
      object.strings("models", access.limits.models);
      object.strings("capabilities", access.limits.capabilities);
      if (access.limits.per_minute > 0) object.integer("per_minute", access.limits.per_minute);
      if (access.limits.tokens_per_day > 0) object.integer("tokens_per_day", access.limits.tokens_per_day);
      object.unsigned_integer("tokens_today", used[i]);
      object.string("created_at", rfc3339(access.created));
      if (access.limits.expires) object.string("expires_at", rfc3339(*access.limits.expires));
      if (access.old_until > wall_now()) object.string("old_key_until", rfc3339(access.old_until));
    }
  }
  return body;
}

std::string audit_view(const std::vector<AuditEntry>& entries) {
  std::string body;
  {
    json::ObjectWriter answer(body);
    json::ArrayWriter array(answer.key("entries"));
    for (const AuditEntry& entry : entries) {
      json::ObjectWriter object(array.next());
      object.string("at", rfc3339(entry.at));
      object.string("who", entry.who);
      object.string("what", entry.what);
      object.string("about", entry.about);
    }
  }
  return body;
}

Reply key_reply(int status, const Result<NewKey>& made) {
  if (!made) return problem(made.error());
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("name", made->name);
    object.string("key", made->key);
  }
  return json_reply(status, body);
}

Reply create(ClosedFleet& closed, const Request& request) {
  auto access = read_new_access(request.body);
  if (!access) return problem(access.error());
  const auto made = closed.accesses().create_access(request.principal.name, access->name, access->role,
                                                    std::move(access->limits), access->again);
  if (made) publish_later_if_needed(closed);
  return key_reply(201, made);
}

void list(const Parts& parts, const Responder& responder) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  auto all = std::make_shared<const std::vector<Access>>(parts.closed->accesses().accesses());
  look<std::vector<std::uint64_t>>(
      parts.loop, responder,
      [all](const State& state, Now now) {
        std::vector<std::uint64_t> used;
        used.reserve(all->size());
        for (const Access& one : *all) used.push_back(state.budgets.used(client_of(one.name), day_of(now.wall)));
        return used;
      },
      [all, responder](const Result<std::vector<std::uint64_t>>& used) {
        responder.answer(used ? json_reply(200, accesses_view(*all, *used)) : problem(used.error()));
      });
}

// Answered before the broker is told: the key of the request itself may be the one that has just ended.
void rotate(ClosedFleet& closed, const Request& request, const Responder& responder) {
  Duration overlap{0};
  if (!request.body.empty()) {
    auto fields = json::Fields::untrusted(request.body);
    fields.allow({"overlap_ms"});
    overlap = fields.milliseconds("overlap_ms", Duration{0}, longest_overlap).value_or(Duration{0});
    if (!fields.ok()) return responder.answer(problem(fields.error()));
  }
  const auto made = closed.accesses().rotate_access(request.principal.name, request.capture("name"), overlap);
  responder.answer(key_reply(200, made));
  if (made) publish_later_if_needed(closed);
}

Reply revoke(ClosedFleet& closed, const Request& request) {
  const std::string& name = request.capture("name");
  const auto revoked = closed.accesses().revoke_access(request.principal.name, name);
  if (!revoked) return problem(revoked.error());
  // Here the broker counts: without its files the access goes on there.
  if (const auto published = closed.publish(); !published) {
    return problem(published.error().context("access " + name +
                                             " is revoked for HTTP, and not yet at the broker, which is tried again"));
  }
  return accepted_object("name", name, "revoked");
}

Reply audit(ClosedFleet& closed, const Request& request) {
  std::size_t most = usual_entries;
  if (const auto text = request.parameter("limit")) {
    const auto limit = json::as_integer(*text);
    if (!limit || *limit < 1 || *limit > most_entries) {
      return problem(Error{"`limit` must be a number from 1 to 1000", ErrorKind::invalid});
    }
    most = static_cast<std::size_t>(*limit);
  }
  const auto entries = closed.accesses().database().audited(most);
  return entries ? json_reply(200, audit_view(*entries)) : problem(entries.error());
}

}  // namespace

void add_access_routes(Routes& routes, const Parts& parts) {
  const auto with = [closed = parts.closed](Reply (*handler)(ClosedFleet&, const Request&)) {
    if (closed == nullptr) return http_server::answer_with([](const Request&) { return needs_setup(); });
    return http_server::answer_with([closed, handler](const Request& request) { return handler(*closed, request); });
  };
  const auto list_all = [parts](const Request&, const Responder& responder) {
    if (parts.closed == nullptr) return responder.answer(needs_setup());
    list(parts, responder);
  };
  const auto rotate_one = [closed = parts.closed](const Request& request, const Responder& responder) {
    if (closed == nullptr) return responder.answer(needs_setup());
    rotate(*closed, request, responder);
  };
  // clang-format off
  routes.push_back({"POST", "/api/v1/accesses", "createAccess", "Make an access; its key is in this answer only", "admin", with(create)});
  routes.push_back({"GET", "/api/v1/accesses", "listAccesses", "All accesses, without their keys", "admin", list_all});
  routes.push_back({"POST", "/api/v1/accesses/{name}/rotate", "rotateAccess", "A new key; the old one is good for a while on request", "admin", rotate_one});
  routes.push_back({"POST", "/api/v1/accesses/{name}/revoke", "revokeAccess", "End an access", "admin", with(revoke)});
  routes.push_back({"GET", "/api/v1/audit", "listAudit", "What was changed, by whom, newest first", "admin", with(audit)});
  // clang-format on
}

}  // namespace edgefleet::coordinator
