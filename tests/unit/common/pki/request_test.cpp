#include "common/pki/request.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/common/pki/foreign.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;
using namespace edgefleet::pki::test;

namespace {

std::string der_in(const std::string& pem) { return *pem_block(pem, PEM_STRING_X509_REQ, pem.size(), "this request"); }
std::string pem_with(const std::string& der) { return pem_text(PEM_STRING_X509_REQ, der); }

void refused(const std::string& pem, const std::string& words) {
  const auto read = read_request(pem);
  REQUIRE_FALSE(read.ok());
  INFO(read.error().message);
  CHECK(read.error().message.find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("a request carries the public key of the key that made it") {
  const auto key = Key::make();
  const auto pem = make_request(*key, "pi-1");
  REQUIRE(pem.ok());
  const auto read = read_request(*pem);
  REQUIRE(read.ok());
  CHECK(*read == key->public_key());
}

TEST_CASE("a request cannot be made for a name that is empty or too long") {
  const auto key = Key::make();
  CHECK(make_request(*key, std::string(64, 'a')).ok());
  CHECK_FALSE(make_request(*key, std::string(65, 'a')).ok());
  CHECK_FALSE(make_request(*key, "").ok());
}

TEST_CASE("what else stands in a request does not matter") {
  const auto key = Key::make();
  const Subject hostile{{.text = "coordinator"},
                        {.text = std::string("pi-1\0evil\n/", 11)},
                        {.field = NID_organizationalUnitName, .text = "x"}};
  const auto read = read_request(request_pem(key->handle(), hostile));
  REQUIRE(read.ok());
  CHECK(*read == key->public_key());
  CHECK(read_request(request_pem(key->handle(), {})).ok());
}

TEST_CASE("a request for a key of another kind or form is refused") {
  refused(request_pem(rsa_key().get()), "the certificate request: the key is not one of P-256");
  refused(request_pem(curve_key("P-384").get()), "not one of P-256");
  refused(request_pem(curve_key("secp256k1").get()), "not one of P-256");
  refused(request_pem(ed25519_key().get()), "not one of P-256");
  refused(request_pem(compressed_key().get()), "not one of P-256");
  refused(request_pem(explicit_key().get()), "not one of P-256");
}

TEST_CASE("a request that its key has not signed is refused") {
  const std::string der = der_in(*make_request(*Key::make(), "pi-1"));
  SECTION("the name was changed") {
    std::string changed = der;
    changed.replace(changed.find("pi-1"), 4, "pi-2");
    refused(pem_with(changed), "not signed by its key");
  }
  SECTION("the key was changed") {
    const std::string ours = some_key().der();
    std::string changed = der;
    changed.replace(changed.find(ours.substr(0, 27)), ours.size(), ours);
    refused(pem_with(changed), "not signed by its key");
  }
}

TEST_CASE("no part of a request, and no request with a changed byte, is taken") {
  const std::string der = der_in(*make_request(*Key::make(), "pi-1"));
  for (std::size_t size = 0; size < der.size(); ++size) CHECK_FALSE(read_request(pem_with(der.substr(0, size))).ok());
  for (std::size_t at = 0; at < der.size(); ++at) {
    std::string changed = der;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    CHECK_FALSE(read_request(pem_with(changed)).ok());
  }
  refused(pem_with(der + "more"), "cannot be read");
}

TEST_CASE("text that holds no request is refused with the reason") {
  const auto pem = *make_request(*Key::make(), "pi-1");
  refused("", "no whole block \"BEGIN CERTIFICATE REQUEST\"");
  refused("rubbish", "no whole block");
  refused(pem.substr(0, pem.size() / 2), "no whole block");
  refused(authority_for().certificate().pem(), "no whole block");
  refused(std::string(most_request_text, '\n') + pem, "more than 8192 bytes");
  const auto begin = pem.find('\n') + 1;
  refused(pem.substr(0, begin) + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" + pem.substr(begin),
          "encrypted");
}
