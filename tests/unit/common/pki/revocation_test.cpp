#include "common/pki/revocation.hpp"

#include <algorithm>

#include "tests/support/catch.hpp"
#include "tests/unit/common/pki/foreign.hpp"
#include "tests/unit/common/pki/verifier.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;
using namespace edgefleet::pki::test;

namespace {

using OwnedReason = Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free>;

std::string der_in(const std::string& pem) { return *pem_block(pem, PEM_STRING_X509_CRL, pem.size(), "this list"); }
std::string pem_with(const std::string& der) { return pem_text(PEM_STRING_X509_CRL, der); }

// Reads the list, lets a change be made, and signs it again.
template <typename Change>
std::string changed(const Authority& ca, Change change) {
  const auto crl = object_of<OwnedCrl, d2i_X509_CRL>(der_in(*ca.crl(1, {{"0a", 5}})));
  change(crl.get());
  must(X509_CRL_sign(crl.get(), ca.key().handle(), EVP_sha256()) > 0);
  return pem_with(der_of<i2d_X509_CRL>(crl.get()));
}

void refused(const std::string& pem, const Authority& ca, const std::string& words) {
  const auto read = read_crl(pem, ca.certificate());
  REQUIRE_FALSE(read.ok());
  INFO(read.error().message);
  CHECK(read.error().message.find(words) != std::string::npos);
}

}  // namespace

TEST_CASE("a revocation list is read as it was written") {
  const auto ca = authority_for();
  const auto pem = ca.crl(7, {{"ff00", 1'700'000'000}, {"0a", 0}, {"80", last_date}}, 1'600'000'000);
  REQUIRE(pem.ok());
  const auto read = read_crl(*pem, ca.certificate());
  REQUIRE(read.ok());
  CHECK(read->number == 7);
  CHECK(read->last_update == 1'600'000'000);
  CHECK(read->revoked == std::vector<Revoked>{{"0a", 0}, {"80", last_date}, {"ff00", 1'700'000'000}});
  CHECK(read->contains("80"));
  CHECK_FALSE(read->contains("81"));
  CHECK_FALSE(read->contains(""));
}

TEST_CASE("a revocation list without entries is one") {
  const auto ca = authority_for();
  const auto read = read_crl(*ca.crl(0, {}), ca.certificate());
  REQUIRE(read.ok());
  CHECK(read->number == 0);
  CHECK(read->last_update == first_date);
  CHECK(read->revoked.empty());
}

TEST_CASE("OpenSSL refuses a certificate that the list names, and no other one") {
  const auto ca = authority_for();
  const auto revoked = ca.issue_agent(some_key(), agent("pi-1"), last_date);
  const auto other = ca.issue_agent(some_key(), agent("pi-2"), last_date);
  const auto crl = *ca.crl(2, {{revoked->serial(), 1'700'000'000}});
  for (const std::int64_t at : {std::int64_t{1}, std::int64_t{1'800'000'000}, last_date - 1}) {
    if (!can_ask_at(at)) continue;
    CHECK(verdict(*revoked, ca.certificate(), {.at = at, .crl = crl}) == "certificate revoked");
    CHECK(verdict(*other, ca.certificate(), {.at = at, .crl = crl}) == "ok");
  }
  CHECK(read_crl(crl, ca.certificate())->contains(revoked->serial()));
}

TEST_CASE("of a serial that is given twice, the earlier time counts") {
  const auto ca = authority_for();
  const auto read = read_crl(*ca.crl(1, {{"0a", 9}, {"0a", 5}, {"a", 7}, {"000a", 6}}), ca.certificate());
  REQUIRE(read.ok());
  CHECK(read->revoked == std::vector<Revoked>{{"0a", 5}});
}

TEST_CASE("a list cannot be made of what is no serial, time or number") {
  const auto ca = authority_for();
  for (const auto& serial : {std::string(), std::string("0A"), std::string("-1"), std::string("0x1"), std::string("1 "),
                             std::string("1\n"), std::string(41, '1')}) {
    INFO(serial);
    CHECK_FALSE(ca.crl(1, {{serial, 5}}).ok());
  }
  CHECK(ca.crl(1, {{std::string(40, 'f'), 5}}).ok());
  CHECK_FALSE(ca.crl(-1, {}).ok());
  CHECK_FALSE(ca.crl(1, {{"0a", -1}}).ok());
  CHECK_FALSE(ca.crl(1, {{"0a", last_date + 1}}).ok());
  CHECK_FALSE(ca.crl(1, {}, -1).ok());
  CHECK(read_crl(*ca.crl(INT64_MAX, {}), ca.certificate())->number == INT64_MAX);
}

TEST_CASE("a list of another authority, or one that is not signed by this one, is refused") {
  const auto ca = authority_for();
  const auto other = authority_for();
  refused(*other.crl(1, {}), ca, "of another certification authority");
  refused(*make_crl(ca.certificate(), other.key(), 1, {}), ca, "not signed by the certification authority");
  const auto issued = ca.issue_agent(some_key(), agent("pi-1"), last_date);
  for (const Certificate& no_authority : {*issued, certificate_by({})}) {
    const auto read = read_crl(*ca.crl(1, {}), no_authority);
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().message.find("of no authority") != std::string::npos);
  }
}

TEST_CASE("no part of a list, and no list with a changed byte, is taken") {
  const auto ca = authority_for();
  const std::string der = der_in(*ca.crl(3, {{"0a", 5}, {"0b", 6}}));
  for (std::size_t size = 0; size < der.size(); ++size) {
    CHECK_FALSE(read_crl(pem_with(der.substr(0, size)), ca.certificate()).ok());
  }
  for (std::size_t at = 0; at < der.size(); ++at) {
    std::string other = der;
    other[at] = static_cast<char>(other[at] ^ 0x21);
    CHECK_FALSE(read_crl(pem_with(other), ca.certificate()).ok());
  }
  refused("rubbish", ca, "no whole block \"BEGIN X509 CRL\"");
  refused(std::string(most_crl_text + 1, '\n'), ca, "more than");
}

TEST_CASE("a signed list that is about a part of the certificates, or has no number, is refused") {
  const auto ca = authority_for();
  CHECK(read_crl(changed(ca, [](X509_CRL*) {}), ca.certificate()).ok());
  refused(changed(ca,
                  [](X509_CRL* crl) {
                    X509_EXTENSION_free(X509_CRL_delete_ext(crl, X509_CRL_get_ext_by_NID(crl, NID_crl_number, -1)));
                  }),
          ca, "has no number");
  refused(changed(ca,
                  [](X509_CRL* crl) {
                    const OwnedInteger base(ASN1_INTEGER_new());
                    must(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base.get(), 1, 0) == 1);
                  }),
          ca, "a part of the certificates only");
  refused(changed(ca,
                  [](X509_CRL* crl) {
                    const OwnedInteger number(ASN1_INTEGER_new());
                    must(ASN1_INTEGER_set_int64(number.get(), -1) == 1);
                    must(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number.get(), 0, X509V3_ADD_REPLACE) == 1);
                  }),
          ca, "out of range");
}

TEST_CASE("a signed list with a critical extension at one entry is refused, and one with another extension is not") {
  const auto ca = authority_for();
  for (const bool critical : {true, false}) {
    const auto pem = changed(ca, [&](X509_CRL* crl) {
      X509_REVOKED* entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), 0);
      const OwnedReason reason(ASN1_ENUMERATED_new());
      must(ASN1_ENUMERATED_set(reason.get(), CRL_REASON_KEY_COMPROMISE) == 1);
      must(X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason.get(), critical ? 1 : 0, 0) == 1);
    });
    CHECK(read_crl(pem, ca.certificate()).ok() != critical);
  }
}

TEST_CASE("a list of 20,000 agents is made and read, and one above the bound is not made") {
  const auto ca = authority_for();
  std::vector<Revoked> revoked;
  for (int i = 0; i < 20'000; ++i) revoked.push_back({serial_text(random_serial().get()), i});
  const auto pem = ca.crl(1, revoked);
  REQUIRE(pem.ok());
  CHECK(read_crl(*pem, ca.certificate())->revoked.size() == revoked.size());
  // A list of most_revoked fits the bound on the text, also with serials of 20 bytes (another 6 for each).
  CHECK(pem->size() / revoked.size() + 6 < most_crl_text / most_revoked);
  std::vector<Revoked> too_many;
  for (std::size_t i = 0; i <= most_revoked; ++i) too_many.push_back({hex(std::to_string(1'000'000 + i)), 0});
  const auto large = ca.crl(1, too_many);
  REQUIRE_FALSE(large.ok());
  CHECK(large.error().kind == ErrorKind::too_large);
}
