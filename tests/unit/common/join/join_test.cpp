#include "common/join/messages.hpp"
#include "common/join/token.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::join;

namespace {

Token sample() {
  return {"efj_abcdefghij_kmnpqrstuvwxyz23456789", std::string(64, 'a'), {"pi-1.local:7002", "[fd00::7]:7002"}};
}

const std::string digits(64, '7');

}  // namespace

TEST_CASE("a join token is one word, and comes back as it was") {
  const std::string text = encode(sample());
  CHECK(text.starts_with("efj_"));
  CHECK(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
        std::string::npos);
  CHECK(*decode("  " + text + "\r\n") == sample());
}

TEST_CASE("a join token that was cut, changed or is something else is refused, and not shown") {
  const std::string text = encode(sample());
  for (std::size_t length = 0; length < text.size(); ++length) {
    const auto read = decode(text.substr(0, length));
    CHECK_FALSE(read);
    if (!read && length > 12) CHECK(read.error().message.find(text.c_str() + 4, 0, 8) == std::string::npos);
  }
  Token other = sample();
  other.addresses = {"no port"};
  CHECK_FALSE(decode(encode(other)));
  other = sample();
  other.ca_sha256 = "abc";
  CHECK_FALSE(decode(encode(other)));
  other = sample();
  other.addresses.assign(most_addresses + 1, "pi:7002");
  CHECK_FALSE(decode(encode(other)));
  CHECK_FALSE(decode("efj_" + std::string(longest_token, 'A')));
  CHECK_FALSE(decode("ef_abc"));
}

TEST_CASE("the messages of joining come back as they were") {
  const Machine machine{"pi-7", true, "a1b2c3d4"};
  const auto with_token = decode_with_token(encode(WithToken{"efj_x", "PEM\n", machine}));
  REQUIRE(with_token);
  CHECK(with_token->secret == "efj_x");
  CHECK(with_token->request == "PEM\n");
  CHECK(with_token->machine == machine);
  const auto commitment = decode_commitment(encode(Commitment{digits, {"pi", false, ""}}));
  REQUIRE(commitment);
  CHECK(commitment->commitment == digits);
  CHECK_FALSE(commitment->machine.named);
  CHECK(decode_challenge(encode(Challenge{"abc", digits, "PEM"}))->nonce == digits);
  CHECK(decode_opening(encode(Opening{digits, "PEM"}))->request == "PEM");
  CHECK(decode_renewal(encode(Renewal{"PEM"}))->request == "PEM");
  CHECK(decode_joined(encode(Joined{"pi", "home", "c", "ca", "mqtts://a:1", "https://a:2"}))->coordinator ==
        "https://a:2");
}

TEST_CASE("messages that lack something, have too much of it or of another form are refused") {
  for (const char* body :
       {"", "[]", "{}", R"({"secret":"x","name":"pi"})", R"({"secret":"x","request":"","name":"pi"})",
        R"({"secret":7,"request":"r","name":"pi"})", R"({"secret":"x","request":"r","name":"pi","nmae":"pi"})"}) {
    INFO(body);
    CHECK_FALSE(decode_with_token(body));
  }
  CHECK_FALSE(decode_with_token(encode(WithToken{"s", std::string(20'000, 'r'), {"pi", false, ""}})));
  CHECK_FALSE(decode_commitment(encode(Commitment{"xyz", {"pi", false, ""}})));
  CHECK_FALSE(decode_challenge(encode(Challenge{"../etc", digits, "PEM"})));
  CHECK_FALSE(decode_opening(encode(Opening{digits + "7", "PEM"})));
}

TEST_CASE("the code depends on everything that both sides have") {
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  const auto code = code_of(a, a, a, a);
  CHECK(code.size() == 9);
  for (const auto& other : {code_of(b, a, a, a), code_of(a, b, a, a), code_of(a, a, b, a), code_of(a, a, a, b)}) {
    CHECK(other != code);
  }
  CHECK(commitment_of(a, b) != commitment_of(b, a));
}

TEST_CASE("a typed code may have capital letters, spaces and no hyphen") {
  const auto code = code_of(digits, digits, digits, digits);
  std::string typed = " " + code + " ";
  std::erase(typed, '-');
  for (char& c : typed) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  CHECK(normal_code(typed) == code);
  CHECK(normal_code(code) == code);
  for (const char* bad : {"", "abc", "abcd-efg", "abcd-efgh-j", "abcd-efg0", "pi-7"}) {
    INFO(bad);
    CHECK(normal_code(bad).empty());
  }
}
