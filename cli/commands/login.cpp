// login, logout.
#include <memory>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/commands/prompt.hpp"
#include "cli/core/access_view.hpp"
#include "common/http/problem.hpp"
#include "common/http/url.hpp"
#include "common/logins/logins.hpp"
#include "common/pki/certificate.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::size_t most_answer = 256UL << 10U;

http::Options small_answer(const Interrupt& interrupt) {
  http::Options options;
  options.most_bytes = most_answer;
  options.stop = interrupt.token();
  return options;
}

// Not a secret: asked for without knowing whom.
Result<pki::Certificate> fetch_ca(const std::string& url, const Interrupt& interrupt) {
  http::Credentials anybody;
  anybody.unverified = true;
  http::Client client(url, {}, anybody);
  const auto answer = http::expect_success(client.get("/api/v1/ca", small_answer(interrupt)));
  if (!answer) return answer.error();
  auto ca = pki::Certificate::from_pem(answer->body);
  if (!ca) return Error{"the server at " + url + " is not a coordinator after setup: it has no CA certificate"};
  return ca;
}

Status check_fingerprint(const std::string& url, const pki::Certificate& ca, const std::string& expected,
                         const Interrupt& interrupt) {
  const std::string actual = ca.fingerprint();
  if (expected == actual) return success();
  if (!expected.empty()) {
    return Error{"the CA of the server at " + url + " has the fingerprint " + actual +
                 ", not the given one: it is another server, or somebody is between the two. The key was not sent"};
  }
  if (!can_ask()) {
    return invalid("pass the fingerprint of the fleet's CA after the URL: edgefleet login " + url + "#" + actual +
                   ", if the coordinator shows the same (`openssl x509 -noout -fingerprint -sha256 -in "
                   "DATA/ca/ca.crt`)");
  }
  const auto answer = ask("The CA of this fleet has the SHA-256 fingerprint\n  " + in_groups(actual) +
                              "\nIs this what the coordinator shows? [y/N] ",
                          false, interrupt);
  if (answer == "y" || answer == "yes") return success();
  return Error{"not logged in: the fingerprint was not confirmed. The key was not sent"};
}

struct Checked {
  Login login;
  std::string answer;  // of GET /api/v1/access
};

// The key is sent only on a connection that the CA of this fingerprint has verified.
Result<Checked> check_in(const LoginAddress& address, const std::string& key_file, const Interrupt& interrupt) {
  const std::string url = http::normal_base(address.url);
  if (!http::is_http_url(url)) return invalid("'" + url + "' is not of the form https://HOST:PORT#FINGERPRINT");
  const auto ca = fetch_ca(url, interrupt);
  if (!ca) return ca.error();
  if (auto same = check_fingerprint(url, *ca, address.fingerprint, interrupt); !same) return same.error();
  const auto key = read_key(key_file, interrupt);
  if (!key) return key.error();
  const auto ca_file = keep_ca(logins_folder(), ca->pem());
  if (!ca_file) return ca_file.error();
  http::Credentials credentials;
  credentials.ca = *ca_file;
  credentials.bearer = *key;
  const auto answer =
      http::expect_success(http::Client(url, {}, credentials).get("/api/v1/access", small_answer(interrupt)));
  if (!answer) return answer.error();
  const auto access = read_answer(answer->body);
  if (!access) return access.error();
  Login login{url, text_of(*access, "name"), text_of(*access, "role"), *key, *ca_file};
  if (login.name.empty() || login.role.empty()) {
    return Error{"the answer of " + url + " has no access: it is not from a coordinator after setup; check the URL"};
  }
  if (auto kept = keep_login(logins_folder(), login); !kept) return kept.error();
  return Checked{std::move(login), answer->body};
}

// A command that this role may use.
std::string next_as(const std::string& role) {
  if (role == "chat") return "Next: edgefleet chat MODEL";
  if (role == "submit") return "Next: edgefleet submit CAPABILITY INPUT --wait";
  return "Next: edgefleet status";
}

Exit log_in(Session& session, const std::string& text, const std::string& key_file) {
  const auto address = parse_login_address(text);
  if (!address) return session.fail(address.error());
  const Interrupt interrupt;
  const auto checked_in = check_in(*address, key_file, interrupt);
  if (interrupt.happened()) return interrupt.exit();
  if (!checked_in) return session.fail(checked_in.error());
  const Login& login = checked_in->login;
  session.print(session.json() ? checked_in->answer
                               : printable("logged in at " + login.url + " as " + login.name + ", role " + login.role));
  return session.then(Exit::ok, next_as(login.role));
}

Exit log_out(Session& session, const std::string& text) {
  const std::string folder = logins_folder();
  const auto logins = read_logins(folder);
  if (!logins) return session.fail(logins.error());
  const auto address = text.empty() ? Result<LoginAddress>(LoginAddress{}) : parse_login_address(text);
  if (!address) return session.fail(address.error());
  const std::string url = text.empty() ? logins->chosen : http::normal_base(address->url);
  if (url.empty()) return session.fail("there is no login", Exit::usage);
  if (auto removed = remove_login(folder, url); !removed) return session.fail(removed.error());
  session.print("logged out of " + url +
                "; its access still exists: an administrator ends it with `edgefleet access "
                "revoke NAME`");
  return Exit::ok;
}

}  // namespace

Run declare_login(CLI::App& app) {
  auto url = std::make_shared<std::string>();
  auto key_file = std::make_shared<std::string>();
  app.add_option("URL", *url, "https://HOST:PORT#FINGERPRINT, as edgefleet access create prints it")
      ->required()
      ->type_name("");
  app.add_option("--key-file", *key_file, "file with the key; without it a prompt, or standard input");
  return [url, key_file](Session& session) { return log_in(session, *url, *key_file); };
}

Run declare_logout(CLI::App& app) {
  auto url = std::make_shared<std::string>();
  app.add_option("URL", *url, "https://HOST:PORT (default: the last login)")->type_name("");
  return [url](Session& session) { return log_out(session, *url); };
}

}  // namespace edgefleet::cli
