#include "common/pki/certificate.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/common/pki/foreign.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;
using namespace edgefleet::pki::test;

namespace {

Certificate with_subject(const Subject& subject) { return certificate_by({.subject = subject}); }
Certificate with_name(const std::string& name, int type = V_ASN1_UTF8STRING) {
  return with_subject({{.text = name, .type = type}});
}

}  // namespace

TEST_CASE("what stands in a certificate is read") {
  const auto ca = authority_for({"home.example"});
  const auto key = some_key();
  const auto read = Certificate::from_pem(
      ca.issue_server(key, {"home.example", "192.168.1.5", "fd00::5"}, 1'700'000'000, 1'734'000'000)->pem());
  REQUIRE(read.ok());
  CHECK(*read->common_name() == "home.example");
  CHECK(read->names() == AlternativeNames{{}, {"home.example"}, {"192.168.1.5", "fd00::5"}});
  CHECK(read->not_before() == 1'700'000'000);
  CHECK(read->not_after() == 1'734'000'000);
  CHECK(*read->public_key() == key);
  CHECK_FALSE(read->is_authority());
  CHECK(ca.certificate().is_authority());
}

TEST_CASE("a certificate is the same after it was written and read, as PEM and as DER") {
  const auto certificate = certificate_by({});
  for (const auto& read : {Certificate::from_pem(certificate.pem()), Certificate::from_der(certificate.der())}) {
    REQUIRE(read.ok());
    CHECK(read->der() == certificate.der());
    CHECK(read->fingerprint() == certificate.fingerprint());
    CHECK(read->fingerprint().size() == 64);
  }
}

TEST_CASE("the first certificate of a text is read, whatever stands around it") {
  const auto first = certificate_by({});
  const auto second = certificate_by({});
  const auto text = "a note\n" + *Key::make()->pem() + first.pem() + second.pem() + "rubbish";
  const auto read = Certificate::from_pem(text);
  REQUIRE(read.ok());
  CHECK(read->der() == first.der());
}

TEST_CASE("dates from 1970 to 9999 are read as they were written") {
  for (const std::int64_t date :
       {std::int64_t{1}, std::int64_t{951'782'400}, std::int64_t{951'868'799}, std::int64_t{2'147'483'648},
        std::int64_t{2'524'607'999}, std::int64_t{2'524'608'000}, std::int64_t{4'107'542'400}, last_date}) {
    const auto certificate = certificate_by({.not_before = date - 1, .not_after = date});
    CHECK(certificate.not_before() == date - 1);
    CHECK(certificate.not_after() == date);
  }
}

TEST_CASE("a subject that is exactly one plain common name is read") {
  CHECK(*with_name("pi-1").common_name() == "pi-1");
  CHECK(*with_name("pi-1", V_ASN1_PRINTABLESTRING).common_name() == "pi-1");
  CHECK(*with_name(std::string(64, 'a')).common_name() == std::string(64, 'a'));
}

TEST_CASE("a subject that could be read in two ways has no common name") {
  const Part pi_1{.text = "pi-1"};
  const Part pi_2{.text = "pi-2"};
  const Part beside{.text = "pi-2", .set = -1};
  const Part unit{.field = NID_organizationalUnitName, .text = "x"};
  for (const Subject& subject : {Subject{}, Subject{pi_2, pi_1}, Subject{pi_1, beside}, Subject{unit, pi_1},
                                 Subject{pi_1, unit}, Subject{unit}}) {
    const auto certificate = with_subject(subject);
    REQUIRE_FALSE(certificate.common_name().ok());
    CHECK(certificate.common_name().error().message.find("not exactly one common name") != std::string::npos);
  }
}

TEST_CASE("a common name with a slash, a newline, a NUL, a wildcard, or too long is none") {
  for (const auto& name : {std::string("pi-1/status"), std::string("pi-1\n"), std::string("pi-1\0.evil", 10),
                           std::string("pi-1\0", 5), std::string("+"), std::string("#"), std::string("*.local"),
                           std::string("pi\x1b[2J"), std::string("p\xc3\xad"), std::string(65, 'a'), std::string()}) {
    INFO(name);
    CHECK_FALSE(with_name(name).common_name().ok());
  }
  CHECK_FALSE(with_name(std::string("\0p\0i", 4), V_ASN1_BMPSTRING).common_name().ok());
  CHECK_FALSE(with_name("pi-1", V_ASN1_T61STRING).common_name().ok());
}

TEST_CASE("a certificate whose alternative names could be read in two ways is refused") {
  using Names = std::vector<std::pair<int, std::string>>;
  for (const Names& names :
       {Names{{GEN_DNS, std::string("good.local\0.evil", 16)}}, Names{{GEN_DNS, "a\nb"}}, Names{{GEN_DNS, ""}},
        Names{{GEN_URI, "edgefleet:home/agent/pi-1 "}}, Names{{GEN_URI, "\xff"}}, Names{{GEN_IPADD, "abc"}},
        Names{{GEN_IPADD, std::string(5, '1')}}, Names{{GEN_IPADD, ""}}}) {
    CHECK_FALSE(Certificate::from_der(der_by({.names = names})).ok());
  }
}

TEST_CASE("alternative names of kinds that are not used are passed over") {
  const auto certificate = certificate_by({.extensions = {{NID_subject_alt_name, "email:a@b.example,DNS:pi.local"}}});
  CHECK(certificate.names() == AlternativeNames{{}, {"pi.local"}, {}});
}

TEST_CASE("a certificate with two extensions of alternative names is refused") {
  const auto twice =
      der_by({.extensions = {{NID_subject_alt_name, "DNS:a.local"}, {NID_subject_alt_name, "DNS:b.local"}}});
  CHECK_FALSE(Certificate::from_der(twice).ok());
}

TEST_CASE("a key of another kind in a certificate is an error of its own, and the rest is read") {
  const OwnedKey rsa = rsa_key();
  const auto certificate = certificate_by({.key = rsa.get()});
  CHECK(*certificate.common_name() == "pi-1");
  CHECK_FALSE(certificate.public_key().ok());
}

TEST_CASE("only a certificate that says so is one of an authority") {
  const auto is_authority = [](std::vector<std::pair<int, const char*>> extensions) {
    return certificate_by({.extensions = std::move(extensions)}).is_authority();
  };
  CHECK(is_authority({{NID_basic_constraints, "critical,CA:TRUE"}}));
  CHECK_FALSE(is_authority({}));
  CHECK_FALSE(is_authority({{NID_basic_constraints, "CA:FALSE"}}));
  CHECK_FALSE(is_authority({{NID_key_usage, "critical,keyCertSign"}}));
  CHECK_FALSE(
      is_authority({{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,digitalSignature"}}));
}

TEST_CASE("no part of a certificate is taken for a certificate, and none with bytes after it") {
  const auto certificate = certificate_by({.names = {{GEN_DNS, "pi.local"}}});
  const std::string& der = certificate.der();
  const std::string pem = certificate.pem();
  for (std::size_t size = 0; size < der.size(); ++size) CHECK_FALSE(Certificate::from_der(der.substr(0, size)).ok());
  for (std::size_t size = 0; size + 2 < pem.size(); ++size) {
    CHECK_FALSE(Certificate::from_pem(pem.substr(0, size)).ok());
  }
  CHECK_FALSE(Certificate::from_der(der + '\0').ok());
  CHECK_FALSE(Certificate::from_der(std::string(70'000, '0')).ok());
  CHECK_FALSE(Certificate::from_pem(std::string(70'000, '\n') + pem).ok());
}

TEST_CASE("a certificate with a changed byte is refused, or is another one that the authority has not signed") {
  const auto ca = authority_for();
  const std::string der = ca.issue_agent(some_key(), agent("pi-1"), last_date)->der();
  for (std::size_t at = 0; at < der.size(); ++at) {
    std::string changed = der;
    changed[at] = static_cast<char>(changed[at] ^ 0x21);
    const auto read = Certificate::from_der(changed);
    INFO(at);
    CHECK_FALSE((read.ok() && read->verified_by(ca.certificate(), Use::client).ok()));
  }
}

TEST_CASE("the same certificate in another encoding is refused, since its fingerprint would be another one") {
  std::string der = certificate_by({}).der();
  REQUIRE(der.substr(0, 2) == "\x30\x82");
  der.replace(0, 2, std::string("\x30\x83\x00", 3));  // the length in three bytes, where two are enough
  CHECK_FALSE(Certificate::from_der(der).ok());
}
