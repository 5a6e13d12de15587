#include "common/pki/authority.hpp"

#include <set>

#include "common/pki/request.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/common/pki/foreign.hpp"
#include "tests/unit/common/pki/verifier.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;
using namespace edgefleet::pki::test;

namespace {

constexpr std::int64_t year = 31'536'000;
const std::string outside = "permitted subtree violation";

// A server certificate as whoever has stolen the authority's key would sign it.
Certificate stolen(const Authority& ca, std::vector<std::pair<int, std::string>> names, const std::string& cn = "x") {
  return certificate_by({.subject = {{.text = cn}},
                         .names = std::move(names),
                         .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                                        {NID_key_usage, "critical,digitalSignature"},
                                        {NID_ext_key_usage, "serverAuth"}},
                         .authority = &ca});
}

// Without OpenSSL's strict mode, which would first miss the identifier of the authority's key.
bool accepted(const Authority& ca, const Certificate& certificate) {
  return certificate.verified_by(ca.certificate(), Use::server).ok();
}

bool is_critical(const Certificate& certificate, int kind) {
  const int at = X509_get_ext_by_NID(certificate.handle(), kind, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate.handle(), at)) == 1;
}

std::string error_of(const Status& status) { return status.ok() ? "" : status.error().message; }

}  // namespace

TEST_CASE("an authority's certificate is what the design says") {
  const auto ca = authority_for({"home.example"});
  const Certificate& certificate = ca.certificate();
  X509* handle = certificate.handle();
  CHECK(certificate.not_before() == 0);
  CHECK(certificate.not_after() == 253'402'300'799);
  CHECK(ASN1_STRING_type(X509_get0_notBefore(handle)) == V_ASN1_UTCTIME);
  CHECK(ASN1_STRING_type(X509_get0_notAfter(handle)) == V_ASN1_GENERALIZEDTIME);
  CHECK(view_of(X509_get0_notAfter(handle)) == "99991231235959Z");
  CHECK(certificate.is_authority());
  CHECK(X509_get_pathlen(handle) == 0);
  CHECK(X509_get_key_usage(handle) == (KU_KEY_CERT_SIGN | KU_CRL_SIGN));
  CHECK(X509_get0_subject_key_id(handle) != nullptr);
  for (const int kind : {NID_basic_constraints, NID_key_usage, NID_name_constraints})
    CHECK(is_critical(certificate, kind));
}

TEST_CASE("two authorities of one fleet have different names") {
  const auto first = authority_for();
  const auto second = authority_for();
  CHECK(X509_NAME_cmp(X509_get_subject_name(first.certificate().handle()),
                      X509_get_subject_name(second.certificate().handle())) != 0);
}

TEST_CASE("an authority is loaded from its two texts") {
  const auto ca = authority_for({"home.example"}, "farm");
  const auto loaded = Authority::load(ca.certificate().pem(), *ca.key().pem());
  REQUIRE(loaded.ok());
  CHECK(loaded->fleet().str() == "farm");
  CHECK(loaded->permits("home.example").ok());
  const auto issued = loaded->issue_agent(some_key(), agent("pi-1"), last_date);
  REQUIRE(issued.ok());
  CHECK(issued->verified_by(ca.certificate(), Use::client).ok());
}

TEST_CASE("a certificate and a key that do not belong together are no authority") {
  const auto ca = authority_for();
  const auto other = authority_for();
  const auto loaded = Authority::load(ca.certificate().pem(), *other.key().pem());
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().message.find("do not belong together") != std::string::npos);
  CHECK_FALSE(Authority::load("rubbish", *ca.key().pem()).ok());
  CHECK_FALSE(Authority::load(ca.certificate().pem(), "rubbish").ok());
}

TEST_CASE("a certificate of another kind is no authority, though its key is there") {
  const auto key = Key::make();
  const auto ca = authority_for();
  const auto of_agent = ca.issue_agent(key->public_key(), agent("pi-1"), last_date);
  CHECK_FALSE(Authority::load(of_agent->pem(), *key->pem()).ok());
  const auto unbounded = certificate_by({.subject = {{.field = NID_organizationName, .text = "home"}},
                                         .extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                                        {NID_key_usage, "critical,keyCertSign,cRLSign"}},
                                         .key = key->handle()});
  CHECK_FALSE(Authority::load(unbounded.pem(), *key->pem()).ok());
}

TEST_CASE("an agent's certificate has one common name, one URI, and is for clients only") {
  const auto ca = authority_for();
  const auto key = Key::make();
  const auto request = read_request(*make_request(*key, "coordinator"));
  const auto issued = ca.issue_agent(*request, agent("pi-1"), year);
  REQUIRE(issued.ok());
  CHECK(*issued->common_name() == "pi-1");
  CHECK(issued->names() == AlternativeNames{{"edgefleet:home/agent/pi-1"}, {}, {}});
  CHECK(issued->not_before() == 0);
  CHECK(issued->not_after() == year);
  CHECK(*issued->public_key() == key->public_key());
  CHECK_FALSE(issued->is_authority());
  CHECK(X509_get_key_usage(issued->handle()) == KU_DIGITAL_SIGNATURE);
  CHECK(X509_get_extended_key_usage(issued->handle()) == XKU_SSL_CLIENT);
  CHECK(X509_get_ext_count(issued->handle()) == 6);
  CHECK(is_critical(*issued, NID_basic_constraints));
  CHECK(is_critical(*issued, NID_key_usage));
  CHECK(verdict(*issued, ca.certificate(), {.at = year - 1}) == "ok");
  CHECK(verdict(*issued, ca.certificate(), {.purpose = X509_PURPOSE_SSL_SERVER, .at = 1}).find("purpose") !=
        std::string::npos);
  CHECK_FALSE(issued->verified_by(ca.certificate(), Use::server).ok());
}

TEST_CASE("a client that is no agent has another kind of URI") {
  const auto ca = authority_for();
  const auto issued = ca.issue_client(some_key(), *ClientName::parse("coordinator"), last_date);
  REQUIRE(issued.ok());
  CHECK(*issued->common_name() == "coordinator");
  CHECK(issued->names() == AlternativeNames{{"edgefleet:home/client/coordinator"}, {}, {}});
  CHECK(verdict(*issued, ca.certificate()) == "ok");
}

TEST_CASE("a server's certificate is accepted for its names, and for servers only") {
  const auto ca = authority_for({"edge.example.com", "203.0.113.0/24"});
  const auto issued = ca.issue_server(some_key(), {"192.168.1.5", "Pi.local", "edge.example.com", "203.0.113.9", "::1"},
                                      first_date, last_date);
  REQUIRE(issued.ok());
  CHECK(*issued->common_name() == "pi.local");
  for (const char* host : {"pi.local", "edge.example.com", "192.168.1.5", "203.0.113.9", "::1"}) {
    INFO(host);
    CHECK(verdict(*issued, ca.certificate(), as_server(host)) == "ok");
  }
  CHECK(verdict(*issued, ca.certificate(), as_server("other.local")) == "hostname mismatch");
  CHECK(verdict(*issued, ca.certificate(), as_server("192.168.1.6")) == "IP address mismatch");
  CHECK(verdict(*issued, ca.certificate()).find("purpose") != std::string::npos);
}

TEST_CASE("a server may have addresses only, or a name that is too long for a common name") {
  const auto ca = authority_for();
  const auto addresses = ca.issue_server(some_key(), {"127.0.0.1", "fe80::1"}, first_date, last_date);
  REQUIRE(addresses.ok());
  CHECK(*addresses->common_name() == "server");
  CHECK(verdict(*addresses, ca.certificate(), as_server("127.0.0.1")) == "ok");
  const std::string label(63, 'a');
  const std::string name = label + "." + label + ".local";
  const auto long_name = ca.issue_server(some_key(), {name}, first_date, last_date);
  REQUIRE(long_name.ok());
  CHECK(verdict(*long_name, ca.certificate(), as_server(name)) == "ok");
}

TEST_CASE("certificates are valid in 1970 and in 9999, for computers without a clock") {
  const auto ca = authority_for();
  const auto client = ca.issue_agent(some_key(), agent("pi-1"), last_date);
  const auto server = ca.issue_server(some_key(), {"pi.local"}, first_date, last_date);
  const auto crl = *ca.crl(1, {{"77", 5}});
  for (const std::int64_t at :
       {std::int64_t{1}, std::int64_t{2'147'483'647}, std::int64_t{4'294'967'296}, last_date - 1}) {
    if (!can_ask_at(at)) continue;
    INFO(at);
    CHECK(verdict(*client, ca.certificate(), {.at = at, .crl = crl}) == "ok");
    CHECK(verdict(*server, ca.certificate(), {.purpose = X509_PURPOSE_SSL_SERVER, .at = at, .crl = crl}) == "ok");
  }
}

TEST_CASE("an authority refuses names outside of its constraints before it issues, and says which") {
  const auto ca = authority_for({"home.example", "203.0.113.0/24"});
  for (const char* name : {"home.example", "www.home.example", "pi.local", "127.0.0.1", "10.1.2.3", "172.31.255.255",
                           "192.168.1.1", "169.254.1.1", "203.0.113.9", "::1", "fd12::1", "fe80::1", "febf::1"}) {
    INFO(name);
    CHECK(error_of(ca.permits(name)).empty());
  }
  for (const char* name :
       {"bank.example", "example", "nothome.example", "local.example", "notlocal", "8.8.8.8", "172.32.0.1",
        "203.0.114.1", "2001:db8::1", "::2", "fec0::1", "::ffff:10.0.0.1", "localhost"}) {
    INFO(name);
    const auto permitted = ca.permits(name);
    REQUIRE_FALSE(permitted.ok());
    CHECK(permitted.error().kind == ErrorKind::unsupported);
    CHECK(permitted.error().message.find(std::string("may not issue for ") + name) != std::string::npos);
  }
  const auto mixed = ca.issue_server(some_key(), {"pi.local", "bank.example"}, first_date, last_date);
  REQUIRE_FALSE(mixed.ok());
  CHECK(mixed.error().message.find("may not issue for bank.example") != std::string::npos);
  CHECK(error_of(ca.permits("*.local")).find("neither a DNS name nor an IP address") != std::string::npos);
}

TEST_CASE("what a stolen key signs for a bank is refused by OpenSSL") {
  const auto ca = authority_for({"home.example"});
  CHECK(accepted(ca, stolen(ca, {{GEN_DNS, "home.example"}})));
  CHECK_FALSE(accepted(ca, stolen(ca, {{GEN_DNS, "bank.example"}})));
  CHECK_FALSE(accepted(ca, stolen(ca, {{GEN_DNS, "home.example"}, {GEN_DNS, "bank.example"}})));
  CHECK_FALSE(accepted(ca, stolen(ca, {{GEN_DNS, "*.example"}})));
  CHECK_FALSE(accepted(ca, stolen(ca, {{GEN_IPADD, std::string("\x08\x08\x08\x08", 4)}})));
  CHECK_FALSE(accepted(ca, stolen(ca, {}, "bank.example")));  // by its common name
  const auto bank = stolen(ca, {{GEN_DNS, "bank.example"}});
  CHECK(error_of(bank.verified_by(ca.certificate(), Use::server)).find(outside) != std::string::npos);
}

TEST_CASE("a name of one label permits nothing below it, since it may be a top-level domain") {
  const auto ca = authority_for({"dev"});
  CHECK(ca.permits("dev").ok());
  CHECK_FALSE(ca.permits("bank.dev").ok());
  CHECK_FALSE(accepted(ca, stolen(ca, {{GEN_DNS, "bank.dev"}})));
  const auto issued = ca.issue_server(some_key(), {"dev"}, first_date, last_date);
  REQUIRE(issued.ok());
  CHECK(verdict(*issued, ca.certificate(), as_server("dev")) == "ok");
}

TEST_CASE("without names of one label the constraints have the form of RFC 5280 only") {
  const auto ca = authority_for({"localhost", "home.example", "203.0.113.0/24"});
  const OwnedConstraints constraints(static_cast<NAME_CONSTRAINTS*>(
      X509_get_ext_d2i(ca.certificate().handle(), NID_name_constraints, nullptr, nullptr)));
  REQUIRE(constraints);
  CHECK(constraints->excludedSubtrees == nullptr);
  CHECK(sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees) == 9 + 3);
}

TEST_CASE("what a stolen key signs as another authority is refused") {
  const auto ca = authority_for();
  const auto below = Key::make();
  const auto sub = certificate_by(
      {.subject = {{.text = "sub"}},
       .extensions = {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,keyCertSign"}},
       .authority = &ca,
       .key = below->handle()});
  CHECK_FALSE(sub.verified_by(ca.certificate(), Use::client).ok());
  CHECK_FALSE(certificate_by({}).verified_by(sub, Use::client).ok());
}

TEST_CASE("an authority cannot be made for names that are none, for too large ranges, or for too many") {
  const auto made = [](const std::vector<std::string>& names) {
    return Authority::make(*FleetName::parse("home"), names).ok();
  };
  CHECK(made({"home.example", "203.0.113.7", "203.0.113.0/24", "2001:db8::/48", "PI"}));
  for (const char* name :
       {"", "*.example", "a,DNS:b", "a\nb", "0.0.0.0/0", "12.0.0.0/7", "::/0", "10.1.0.0/8", "a/8"}) {
    INFO(name);
    CHECK_FALSE(made({name}));
  }
  CHECK(made(std::vector<std::string>(64, "home.example")));
  CHECK_FALSE(made(std::vector<std::string>(65, "home.example")));
}

TEST_CASE("the longest names of fleets and agents fit") {
  const std::string longest(63, 'a');
  const auto ca = authority_for({}, longest.c_str());
  const auto issued = ca.issue_agent(some_key(), agent(longest.c_str()), last_date);
  REQUIRE(issued.ok());
  CHECK(*issued->common_name() == longest);
  CHECK(verdict(*issued, ca.certificate()) == "ok");
}

TEST_CASE("a certificate ends after it begins, between 1970 and 9999") {
  const auto ca = authority_for();
  const auto issued = [&](std::int64_t begin, std::int64_t end) {
    return ca.issue_server(some_key(), {"pi.local"}, begin, end).ok();
  };
  CHECK(issued(0, 1));
  CHECK(issued(last_date - 1, last_date));
  CHECK_FALSE(issued(5, 5));
  CHECK_FALSE(issued(6, 5));
  CHECK_FALSE(issued(-1, 5));
  CHECK_FALSE(issued(0, last_date + 1));
  CHECK_FALSE(ca.issue_agent(some_key(), agent("pi-1"), 0).ok());
}

TEST_CASE("a server has 1 to 64 names") {
  const auto ca = authority_for();
  CHECK_FALSE(ca.issue_server(some_key(), {}, first_date, last_date).ok());
  CHECK(ca.issue_server(some_key(), std::vector<std::string>(64, "pi.local"), first_date, last_date).ok());
  CHECK_FALSE(ca.issue_server(some_key(), std::vector<std::string>(65, "pi.local"), first_date, last_date).ok());
}

TEST_CASE("serial numbers have 128 bits, are positive and do not repeat") {
  std::set<std::string> serials;
  unsigned seen_set = 0;
  unsigned seen_clear = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto serial = random_serial();
    REQUIRE(serial);
    CHECK(ASN1_STRING_type(serial.get()) == V_ASN1_INTEGER);
    CHECK(serial_text(serial.get()).size() == 32);
    serials.insert(serial_text(serial.get()));
    const auto first = static_cast<unsigned char>(view_of(serial.get()).front());
    seen_set |= first;
    seen_clear |= ~static_cast<unsigned>(first) & 0xffU;
  }
  CHECK(serials.size() == 3000);
  CHECK(seen_set == 0xffU);
  CHECK(seen_clear == 0xffU);
  const auto ca = authority_for();
  const auto key = some_key();
  CHECK(ca.issue_agent(key, agent("pi-1"), year)->serial() != ca.issue_agent(key, agent("pi-1"), year)->serial());
}

TEST_CASE("only the authority that issued a certificate verifies it") {
  const auto ca = authority_for();
  const auto other = authority_for();
  const auto issued = ca.issue_agent(some_key(), agent("pi-1"), 1);
  CHECK(issued->verified_by(ca.certificate(), Use::client).ok());  // though it has ended
  CHECK_FALSE(issued->verified_by(other.certificate(), Use::client).ok());
  CHECK_FALSE(issued->verified_by(*issued, Use::client).ok());
  CHECK_FALSE(ca.certificate().verified_by(ca.certificate(), Use::client).ok());
  CHECK_FALSE(ca.certificate().verified_by(ca.certificate(), Use::server).ok());
  CHECK_FALSE(certificate_by({}).verified_by(ca.certificate(), Use::client).ok());
}

TEST_CASE("a subject with two common names, signed by a stolen key, passes OpenSSL but has no common name") {
  const auto ca = authority_for();
  const auto forged = certificate_by({.subject = {{.text = "pi-2"}, {.text = "pi-1"}},
                                      .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                                                     {NID_key_usage, "critical,digitalSignature"},
                                                     {NID_ext_key_usage, "clientAuth"}},
                                      .authority = &ca});
  CHECK(forged.verified_by(ca.certificate(), Use::client).ok());
  CHECK_FALSE(forged.common_name().ok());
}
