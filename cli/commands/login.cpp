// login, logout.
#include <termios.h>
#include <unistd.h>

#include <iostream>
#include <memory>

#include "cli/commands/command.hpp"
#include "cli/core/access_view.hpp"
#include "common/http/problem.hpp"
#include "common/http/url.hpp"
#include "common/logins/logins.hpp"
#include "common/pki/certificate.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::size_t most_answer = 256UL << 10U;

http::Options small_answer() {
  http::Options options;
  options.most_bytes = most_answer;
  return options;
}

// Typed characters are not shown.
class NoEcho {
 public:
  NoEcho() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &hidden) == 0;
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  NoEcho(NoEcho&&) = delete;
  NoEcho& operator=(NoEcho&&) = delete;
  ~NoEcho() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

 private:
  termios before_{};
  bool changed_ = false;
};

Result<std::string> read_key(Session& session, const std::string& file) {
  std::string key;
  if (!file.empty() && file != "-") {
    auto opened = open_file(file);
    if (!opened) return opened.error();
    std::getline(*opened, key);
  } else if (::isatty(STDIN_FILENO) == 1) {
    std::cerr << "Key (ef_...): " << std::flush;
    const NoEcho hidden;
    std::getline(std::cin, key);
    session.note("");
  } else {
    std::getline(std::cin, key);
  }
  const std::string_view plain = trimmed(key);
  if (!plain.starts_with("ef_")) {
    return invalid(
        "this is not the key of an access: one begins with ef_ and is printed once by `edgefleet access "
        "create`; pass it on standard input or with --key-file");
  }
  return std::string(plain);
}

// Not a secret: asked for without knowing whom.
Result<pki::Certificate> fetch_ca(const std::string& url) {
  http::Credentials anybody;
  anybody.unverified = true;
  http::Client client(url, {}, anybody);
  const auto answer = http::expect_success(client.get("/api/v1/ca", small_answer()));
  if (!answer) return answer.error();
  auto ca = pki::Certificate::from_pem(answer->body);
  if (!ca) return Error{"the server at " + url + " is not a coordinator after setup: it has no CA certificate"};
  return ca;
}

Status check_fingerprint(const std::string& url, const pki::Certificate& ca, const std::string& expected) {
  const std::string actual = ca.fingerprint();
  if (expected == actual) return success();
  if (!expected.empty()) {
    return Error{"the CA of the server at " + url + " has the fingerprint " + actual +
                 ", not the given one: it is another server, or somebody is between the two. The key was not sent"};
  }
  if (::isatty(STDIN_FILENO) != 1) {
    return invalid("pass the fingerprint of the fleet's CA after the URL: edgefleet login " + url + "#" + actual +
                   ", if the coordinator shows the same (`openssl x509 -noout -fingerprint -sha256 -in "
                   "DATA/ca/ca.crt`)");
  }
  std::cerr << "The CA of this fleet has the SHA-256 fingerprint\n  " << in_groups(actual)
            << "\nIs this what the coordinator shows? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "yes") return success();
  return Error{"not logged in"};
}

Exit log_in(Session& session, const std::string& text, const std::string& key_file) {
  const LoginAddress address = parse_login_address(text);
  const std::string url = http::normal_base(address.url);
  if (!http::is_http_url(url) || !url.starts_with("https://")) {
    return session.fail("'" + text + "' is not of the form https://HOST:PORT#FINGERPRINT", Exit::usage);
  }
  const auto ca = fetch_ca(url);
  if (!ca) return session.fail(ca.error());
  if (auto same = check_fingerprint(url, *ca, address.fingerprint); !same) return session.fail(same.error());
  const auto key = read_key(session, key_file);
  if (!key) return session.fail(key.error());
  const std::string folder = logins_folder();
  const auto ca_file = keep_ca(folder, ca->pem());
  if (!ca_file) return session.fail(ca_file.error());
  http::Credentials credentials;
  credentials.ca = *ca_file;
  credentials.bearer = *key;
  const auto answer = http::expect_success(http::Client(url, {}, credentials).get("/api/v1/access", small_answer()));
  const auto access = answer ? read_answer(answer->body) : Result<Document>(answer.error());
  if (!access) return session.fail(access.error());
  const Login login{url, text_of(*access, "name"), text_of(*access, "role"), *key, *ca_file};
  if (auto kept = keep_login(folder, login); !kept) return session.fail(kept.error());
  if (session.json()) {
    session.print(answer->body);
    return Exit::ok;
  }
  session.print("logged in at " + url + " as " + printable(login.name) + ", role " + printable(login.role));
  session.note("Next: edgefleet status");
  return Exit::ok;
}

Exit log_out(Session& session, const std::string& text) {
  const std::string folder = logins_folder();
  const auto logins = read_logins(folder);
  if (!logins) return session.fail(logins.error());
  const std::string url = text.empty() ? logins->chosen : http::normal_base(parse_login_address(text).url);
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
