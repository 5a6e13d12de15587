// What people type to log in, and what mosquitto_sub is given.
#include "cli/core/access_view.hpp"
#include "cli/core/mqtt.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;

namespace {

const std::string digits(64, 'a');

MqttAccess access() { return {"anna-mqtt-x", "ef_key", "observe", "pi-1.local", 8884, "edgefleet/v1/home/", {}}; }

}  // namespace

TEST_CASE("the address of a login has a fingerprint, or none") {
  const auto with = parse_login_address("https://pi-1.local:7001#" + digits);
  REQUIRE(with);
  CHECK(with->url == "https://pi-1.local:7001");
  CHECK(with->fingerprint == digits);
  CHECK(parse_login_address("pi-1.local:7001")->url == "https://pi-1.local:7001");
  std::string as_openssl_prints;
  for (int i = 0; i < 32; ++i) as_openssl_prints += i == 0 ? "AA" : ":AA";
  CHECK(parse_login_address("https://pi:1#" + as_openssl_prints)->fingerprint == digits);
  for (const std::string bad : {"http://pi:7001", "https://a@pi:1", "https://pi:1?x", "https://p i:1",
                                "https://pi:1#12", "https://pi:1#", "https://pi\x1b:1"}) {
    INFO(bad);
    CHECK_FALSE(parse_login_address(bad));
  }
  CHECK_FALSE(parse_login_address("https://pi:1#" + std::string(64, 'g')));
}

TEST_CASE("an access to the broker is taken only if each part is one word") {
  const auto own = [](const std::string& mqtt) { return *parse_document(R"({"mqtt":)" + mqtt + "}"); };
  const auto made = [](const std::string& name, const std::string& key) {
    return *parse_document(R"({"name":")" + name + R"(","key":")" + key + R"(","role":"observe"})");
  };
  const auto good = own(R"({"host":"pi","port":8884,"root":"edgefleet/v1/home/"})");
  CHECK(mqtt_access_of(good, made("anna-mqtt-x", "ef_1")));
  for (const char* name : {"", "../x", "a/b", "-h", R"(a\n-h)", R"(a\u001b)"}) {
    INFO(name);
    CHECK_FALSE(mqtt_access_of(good, made(name, "ef_1")));
  }
  const auto refused = mqtt_access_of(good, made("a", R"(ef_secret\n-h evil)"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("ef_secret") == std::string::npos);
  for (const char* mqtt : {"[]", R"({"host":"-h","port":1,"root":"a/"})", R"({"host":"pi","port":0,"root":"a/"})",
                           R"({"host":"pi","port":65536,"root":"a/"})", R"({"host":"pi","port":1,"root":"a"})"}) {
    INFO(mqtt);
    CHECK_FALSE(mqtt_access_of(own(mqtt), made("a", "ef_1")));
  }
}

TEST_CASE("the options file of mosquitto_sub has an option in each line") {
  CHECK(options_text(access(), "/ca.pem") ==
        "-h pi-1.local\n-p 8884\n--cafile /ca.pem\n-V mqttv5\n-u anna-mqtt-x\n-P ef_key\n");
  CHECK(options_text(access(), "").find("--tls-use-os-certs") != std::string::npos);
}

TEST_CASE("topics are below the fleet's root, unless they are complete") {
  using Words = std::vector<std::string>;
  const std::string root = "edgefleet/v1/home/";
  CHECK(below_root({"-v", "-t", "agents/#"}, root) == Words{"-v", "-t", root + "agents/#"});
  CHECK(below_root({"-t", root + "agents/#", "-T", "events/#"}, root) ==
        Words{"-t", root + "agents/#", "-T", root + "events/#"});
  CHECK(below_root({"-t", "$SYS/#", "--topic", "homeassistant/#"}, root) ==
        Words{"-t", "$SYS/#", "--topic", "homeassistant/#"});
  CHECK(below_root({"-t", "-t", "-v"}, root) == Words{"-t", root + "-t", "-v"});
  CHECK(below_root({"-t"}, root) == Words{"-t"});
}

TEST_CASE("a word of a shell stays one word") {
  CHECK(shell_word("/home/a/x") == "/home/a/x");
  CHECK(shell_word("a b") == "'a b'");
  CHECK(shell_word("a'b") == R"('a'\''b')");
  CHECK(shell_word("") == "''");
}

TEST_CASE("tables show text of others without its control characters") {
  const auto answer =
      *parse_document(R"({"accesses":[{"name":"\u001b[2J","role":"chat"}],"join_tokens":[{"id":"\u001b"}],)"
                      R"("join_requests":[{"name":"\u001b"}],"entries":[{"who":"\u001b"}]})");
  for (const auto show : {show_accesses, show_join_tokens, show_join_requests, show_audit}) {
    CHECK(show(answer, {}).find('\x1b') == std::string::npos);
    CHECK_FALSE(show(*parse_document("{}"), {}).empty());
    CHECK_FALSE(
        show(*parse_document(R"({"accesses":7,"join_tokens":[1],"join_requests":{},"entries":""})"), {}).empty());
  }
}
