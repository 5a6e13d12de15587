// access, join-token, audit.
#include <memory>

#include "cli/commands/command.hpp"
#include "cli/commands/subcommand.hpp"
#include "cli/core/access_view.hpp"
#include "cli/core/times.hpp"
#include "common/core/ids.hpp"
#include "common/http/url.hpp"
#include "common/logins/logins.hpp"
#include "common/pki/certificate.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

constexpr Duration longest_access = std::chrono::hours(24 * 3650);

std::string checked_name(const std::string& text) {
  if (!valid_name(text)) throw CLI::ValidationError("NAME", "'" + text + "' is not valid: " + std::string(name_rule));
  return text;
}

void add_name(CLI::App& app, std::string& name, const std::string& help) {
  app.add_option_function<std::string>(
         "NAME", [&name](const std::string& text) { name = checked_name(text); }, help)
      ->required()
      ->type_name("");
}

void write_list(json::ObjectWriter& object, std::string_view key, const std::string& list) {
  const auto parts = parts_of(list);
  if (parts.empty()) return;
  json::ArrayWriter array(object.key(key));
  for (const auto& part : parts) array.string(part);
}

// ---- access

struct Wanted {
  std::string name;
  std::string role;
  std::string models;
  std::string capabilities;
  std::int64_t per_minute = 0;
  std::int64_t tokens_per_day = 0;
  std::optional<Duration> expires;
  bool again = false;
};

std::string body_of(const Wanted& wanted) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("name", wanted.name);
    object.string("role", wanted.role);
    write_list(object, "models", wanted.models);
    write_list(object, "capabilities", wanted.capabilities);
    if (wanted.per_minute > 0) object.integer("per_minute", wanted.per_minute);
    if (wanted.tokens_per_day > 0) object.integer("tokens_per_day", wanted.tokens_per_day);
    if (wanted.expires) object.integer("expires_after_ms", to_ms(*wanted.expires));
    if (wanted.again) object.boolean("again", true);
  }
  return body;
}

// What to do with the key, for the three kinds of client.
std::string uses_of_key(Session& session, const std::string& name) {
  const auto own = session.get("/api/v1/access");
  const auto access = own ? read_answer(*own) : Result<Document>(own.error());
  if (!access) return "It is shown only once.";
  const std::string url = printable(text_of(*access, "url"));
  std::string text = "It is shown only once. As an OpenAI client: base URL " + url + "/v1, and the key as API key.\n";
  const auto ca = session.get("/api/v1/ca");
  const auto certificate = ca ? pki::Certificate::from_pem(*ca) : Result<pki::Certificate>(ca.error());
  if (certificate) text += "On another computer:  edgefleet login " + url + "#" + certificate->fingerprint() + "\n";
  const auto& mqtt = member_of(*access, "mqtt");
  return text + "Over MQTT: user " + name + ", the key as password, TLS, " + printable(text_of(mqtt, "host")) + ":" +
         std::to_string(count_of(mqtt, "port")) + ", topics below " + printable(text_of(mqtt, "root"));
}

// The key alone on standard output, so that a script can take it.
Exit show_key(Session& session, const Result<std::string>& body, const std::string& note) {
  if (!body) return session.fail(body.error());
  const auto answer = read_answer(*body);
  if (!answer) return session.fail(answer.error());
  const auto key = secret_of(*answer, "key");
  if (!key) return session.fail(key.error());
  session.print(session.json() ? *body : *key);
  if (!session.json()) session.note(note.empty() ? uses_of_key(session, printable(text_of(*answer, "name"))) : note);
  return Exit::ok;
}

Run declare_create(CLI::App& app) {
  auto wanted = std::make_shared<Wanted>();
  add_name(app, wanted->name, "of the new access");
  app.add_option("--role", wanted->role, "observe, chat, submit, operate or admin")
      ->required()
      ->check(CLI::IsMember({"observe", "chat", "submit", "operate", "admin"}))
      ->type_name("ROLE");
  app.add_option("--models", wanted->models, "models that it may use, separated by commas; * stands for any characters")
      ->type_name("LIST");
  app.add_option("--capabilities", wanted->capabilities, "capabilities that it may use, the same")->type_name("LIST");
  app.add_option("--per-minute", wanted->per_minute, "most tasks a minute")->check(CLI::PositiveNumber);
  app.add_option("--tokens-per-day", wanted->tokens_per_day,
                 "most tokens of questions and answers of models a day, which begins at midnight UTC")
      ->check(CLI::PositiveNumber);
  app.add_flag("--again", wanted->again, "use the name of an access that has ended: the new one sees its tasks");
  add_duration(app, "--expires", wanted->expires, "end it after this time (90d)", std::chrono::seconds(1),
               longest_access);
  return
      [wanted](Session& session) { return show_key(session, session.post("/api/v1/accesses", body_of(*wanted)), ""); };
}

// The login on this machine, if it is that access's, goes on with the new key.
Status follow_rotation(Session& session, const Document& answer) {
  const auto followed =
      replace_key(logins_folder(), session.client().base_url(), text_of(answer, "name"), text_of(answer, "key"));
  if (followed || followed.error().kind == ErrorKind::not_found) return success();
  return followed.error().context("the new key is above, but the login on this machine still has the old one");
}

Exit rotate(Session& session, const std::string& name, const std::optional<Duration>& overlap) {
  const std::string wish = overlap ? "{\"overlap_ms\":" + std::to_string(to_ms(*overlap)) + "}" : "";
  const auto body = session.post("/api/v1/accesses/" + name + "/rotate", wish);
  const auto answer = body ? read_answer(*body) : Result<Document>(body.error());
  const Exit shown = show_key(
      session, body,
      std::string("It is shown only once. The broker takes the new key only, at once") +
          (overlap ? "; over HTTP the old one is good for " + show_duration(*overlap) + " more" : ", and HTTP too"));
  if (shown != Exit::ok || !answer) return shown;
  if (auto followed = follow_rotation(session, *answer); !followed) return session.fail(followed.error());
  return shown;
}

Run declare_rotate(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  auto overlap = std::make_shared<std::optional<Duration>>();
  add_name(app, *name, "of the access");
  add_duration(app, "--overlap", *overlap, "the old key stays good over HTTP for this time", Duration{0},
               std::chrono::hours(24 * 90));
  return [name, overlap](Session& session) { return rotate(session, *name, *overlap); };
}

Run declare_revoke(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  add_name(app, *name, "of the access");
  return [name](Session& session) {
    return present(
        session, session.post("/api/v1/accesses/" + *name + "/revoke"),
        [](const Document& answer, const Look&) { return printable(text_of(answer, "name")) + "  revoked"; });
  };
}

Run declare_list(CLI::App&) {
  return [](Session& session) { return present(session, session.get("/api/v1/accesses"), show_accesses); };
}

// ---- join tokens

struct WantedToken {
  std::int64_t uses = 1;  // 0: without a limit
  std::optional<Duration> ttl;  // zero: without an end
  std::vector<std::string> names;
  std::string capabilities;
  bool ephemeral = false;
};

Result<std::string> make_token(Session& session, const WantedToken& wanted, const std::string& name) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.integer("uses", wanted.uses);
    if (wanted.ttl) object.integer("ttl_ms", to_ms(*wanted.ttl));
    if (!name.empty()) object.string("name", name);
    write_list(object, "capabilities", wanted.capabilities);
    if (wanted.ephemeral) object.boolean("ephemeral", true);
  }
  return session.post("/api/v1/join-tokens", body);
}

Exit create_tokens(Session& session, const WantedToken& wanted) {
  const auto names = wanted.names.empty() ? std::vector<std::string>{""} : wanted.names;
  for (const auto& name : names) {
    const auto made = make_token(session, wanted, name);
    if (!made) return session.fail(made.error());
    const auto answer = read_answer(*made);
    if (!answer) return session.fail(answer.error());
    const auto token = secret_of(*answer, "token");
    if (!token) return session.fail(token.error());
    session.print(session.json() ? *made : *token);
    if (names.size() > 1 && !session.json()) session.note("  for " + name);
  }
  if (!session.json()) session.note("On the new machine, paste it into:  edgefleet-agent join --token-file -");
  return Exit::ok;
}

std::int64_t parse_uses(const std::string& text) {
  if (text == "unlimited") return 0;
  const auto uses = json::as_integer(text);
  if (uses && *uses >= 1 && *uses <= 100'000) return *uses;
  throw CLI::ValidationError("--uses", "'" + text + "' is neither a number from 1 to 100000 nor 'unlimited'");
}

Duration parse_ttl(const std::string& text) {
  if (text == "none") return Duration{0};
  const auto ttl = checked("--ttl", parse_duration(text, std::chrono::hours(24 * 365)));
  if (ttl < std::chrono::seconds(1)) throw CLI::ValidationError("--ttl", "must be at least a second, or 'none'");
  return ttl;
}

Run declare_create_token(CLI::App& app) {
  auto wanted = std::make_shared<WantedToken>();
  app.add_option_function<std::string>(
         "--uses", [wanted](const std::string& text) { wanted->uses = parse_uses(text); },
         "machines that may join with it, or `unlimited` (default 1)")
      ->type_name("N");
  app.add_option_function<std::string>(
         "--ttl", [wanted](const std::string& text) { wanted->ttl = parse_ttl(text); },
         "it ends after this time, or `none` (default 1h)")
      ->type_name("TIME");
  app.add_option_function<std::string>(
         "--name",
         [wanted](const std::string& text) {
           wanted->names = checked("--name", expanded_names(text));
           for (const auto& name : wanted->names) checked_name(name);
         },
         "name of the agent; a machine that has it is replaced. worker-{01..10} makes a token for each of ten")
      ->type_name("NAME");
  app.add_option("--capabilities", wanted->capabilities,
                 "what the agent may offer, separated by commas; * stands for any characters")
      ->type_name("LIST");
  app.add_flag("--ephemeral", wanted->ephemeral,
               "for containers: agents that are forgotten after a clean stop, or ten minutes after they were lost");
  return [wanted](Session& session) { return create_tokens(session, *wanted); };
}

Run declare_list_tokens(CLI::App&) {
  return [](Session& session) { return present(session, session.get("/api/v1/join-tokens"), show_join_tokens); };
}

Run declare_revoke_token(CLI::App& app) {
  auto id = std::make_shared<std::string>();
  app.add_option("ID", *id, "of the token, as listed by edgefleet join-token list")->required()->type_name("");
  return [id](Session& session) {
    return present(session, session.post("/api/v1/join-tokens/" + http::escape(*id) + "/revoke"),
                   [](const Document& answer, const Look&) { return printable(text_of(answer, "id")) + "  revoked"; });
  };
}

}  // namespace

Run declare_access(CLI::App& app) {
  return declare_subcommands(
      app, {{"create", "Make an access; its key is printed once", "edgefleet access create phone --role chat",
             declare_create},
            {"list", "List the accesses", "edgefleet access list", declare_list},
            {"rotate", "Give an access a new key", "edgefleet access rotate phone --overlap 24h", declare_rotate},
            {"revoke", "End an access", "edgefleet access revoke phone", declare_revoke}});
}

Run declare_join_token(CLI::App& app) {
  return declare_subcommands(
      app, {{"create", "Make a join token; it is printed once",
             "edgefleet join-token create --ephemeral --uses unlimited --ttl none", declare_create_token},
            {"list", "List the join tokens", "edgefleet join-token list", declare_list_tokens},
            {"revoke", "End a join token", "edgefleet join-token revoke abcdefghij", declare_revoke_token}});
}

Run declare_audit(CLI::App& app) {
  auto limit = std::make_shared<int>(100);
  app.add_option("--limit", *limit, "maximum number to list")->check(CLI::Range(1, 1000))->capture_default_str();
  return [limit](Session& session) {
    return present(session, session.get("/api/v1/audit?limit=" + std::to_string(*limit)), show_audit);
  };
}

}  // namespace edgefleet::cli
