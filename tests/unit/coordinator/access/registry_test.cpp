#include "coordinator/access/registry.hpp"

#include <sys/stat.h>

#include "common/system/clock.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/access/transaction.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

struct Fleet {
  test::TemporaryFolder folder;
  std::unique_ptr<AccessDatabase> database = *AccessDatabase::open(folder.path());
  std::unique_ptr<Registry> registry = *Registry::open(*database);

  void reopen() {
    registry.reset();
    database = *AccessDatabase::open(folder.path());
    registry = *Registry::open(*database);
  }
  std::string create(const std::string& name, Role role = Role::submit, const AccessLimits& limits = {}) {
    return registry->create_access("setup", name, role, limits)->key;
  }
  std::optional<Access> find(const std::string& key, WallTime now = wall_now()) { return registry->find(key, now); }
};

WallTime in(Duration time) { return WallTime{wall_now().unix_ms + to_ms(time)}; }

}  // namespace

TEST_CASE("an access is found by its key, also after a restart") {
  Fleet fleet;
  AccessLimits limits{{"deepseek*"}, {"llm.chat", "image.*"}, 60, in(std::chrono::hours(1)), 50'000};
  const auto key = fleet.create("phone", Role::chat, limits);
  for (int round = 0; round < 2; ++round) {
    const auto found = fleet.find(key);
    REQUIRE(found);
    CHECK(found->name == "phone");
    CHECK(found->role == Role::chat);
    CHECK(found->limits == limits);
    fleet.reopen();
  }
}

TEST_CASE("accesses from before there were budgets have none") {
  Fleet fleet;
  const auto key = fleet.create("phone");
  REQUIRE(fleet.database->read("going back", [](SQLite::Database& db) -> Status {
    db.exec("ALTER TABLE accesses DROP COLUMN tokens_per_day");
    return success();
  }));
  fleet.reopen();
  REQUIRE(fleet.find(key));
  CHECK(fleet.find(key)->limits.tokens_per_day == 0);
  AccessLimits limits;
  limits.tokens_per_day = 7;
  CHECK(fleet.find(fleet.create("tablet", Role::chat, limits))->limits == limits);
}

TEST_CASE("only the whole key is a key") {
  Fleet fleet;
  const auto key = fleet.create("phone");
  const auto other = fleet.create("laptop");
  auto changed = key;
  changed.back() = changed.back() == 'a' ? 'b' : 'a';
  const std::string id_of_one_secret_of_another = key.substr(0, 14) + other.substr(14);
  for (const std::string& wrong :
       {std::string(), std::string("ef_"), key.substr(0, key.size() - 1), key + "a", changed, " " + key,
        id_of_one_secret_of_another, std::string(1 << 20U, 'a'), "efj_" + key.substr(3)}) {
    CHECK_FALSE(fleet.find(wrong));
  }
}

TEST_CASE("the key itself is in no file") {
  Fleet fleet;
  const auto key = fleet.create("phone");
  const std::string found = "grep -rqF '" + key.substr(14) + "' " + fleet.folder.path();
  CHECK(std::system(found.c_str()) != 0);  // NOLINT
  struct stat file{};
  REQUIRE(stat((fleet.folder.path() + "/access.db").c_str(), &file) == 0);
  CHECK((file.st_mode & 0777U) == 0600U);
}

TEST_CASE("an access ends at its time, and when it is revoked") {
  Fleet fleet;
  const auto short_lived = fleet.create("visitor", Role::chat, {{}, {}, 0, in(std::chrono::hours(1))});
  CHECK(fleet.find(short_lived));
  CHECK_FALSE(fleet.find(short_lived, in(std::chrono::hours(2))));
  const auto key = fleet.create("phone");
  REQUIRE(fleet.registry->revoke_access("anna", "phone"));
  CHECK_FALSE(fleet.find(key));
  fleet.reopen();
  CHECK_FALSE(fleet.find(key));
  CHECK(fleet.registry->revoke_access("anna", "phone").error().kind == ErrorKind::not_found);
  CHECK(fleet.find(fleet.create("phone")));  // the name is free again
}

TEST_CASE("after a rotation the old key is good for the overlap only") {
  Fleet fleet;
  const auto first = fleet.create("app");
  const auto second = fleet.registry->rotate_access("anna", "app", std::chrono::hours(24))->key;
  for (int round = 0; round < 2; ++round) {
    CHECK(fleet.find(first));
    CHECK(fleet.find(second));
    CHECK_FALSE(fleet.find(first, in(std::chrono::hours(25))));
    CHECK(fleet.find(second, in(std::chrono::hours(25))));
    fleet.reopen();
  }
  const auto third = fleet.registry->rotate_access("anna", "app", Duration{0})->key;
  CHECK_FALSE(fleet.find(first));
  CHECK_FALSE(fleet.find(second));
  CHECK(fleet.find(third));
}

TEST_CASE("names are one namespace, and each is valid") {
  Fleet fleet;
  fleet.create("phone");
  const auto refused = [&](const std::string& name) {
    const auto made = fleet.registry->create_access("setup", name, Role::chat, {});
    return made ? std::string() : made.error().message;
  };
  CHECK(refused("phone").find("taken") != std::string::npos);
  REQUIRE(fleet.database->reserve({"coordinator", "watch", "pi-1"}));
  CHECK(refused("coordinator").find("reserved") != std::string::npos);
  // Not in the database, and no name in the broker's files.
  for (const char* reserved : {"http", "present", "canary-1"})
    CHECK(refused(reserved).find("reserved") != std::string::npos);
  for (const char* wrong : {"", "Phone", "a/b", "a b", "-a", "a#", "+"}) CHECK_FALSE(refused(wrong).empty());
}

TEST_CASE("limits that cannot be are refused") {
  Fleet fleet;
  const auto refused = [&](const AccessLimits& limits) {
    return !fleet.registry->create_access("setup", "phone", Role::chat, limits);
  };
  CHECK(refused({{""}, {}, 0, {}}));
  CHECK(refused({{"a\nb"}, {}, 0, {}}));
  CHECK(refused({{"\xff"}, {}, 0, {}}));
  CHECK(refused({{}, {std::string(201, 'a')}, 0, {}}));
  CHECK(refused({{}, std::vector<std::string>(101, "a"), 0, {}}));
  CHECK(refused({{}, {}, -1, {}}));
  CHECK(refused({{}, {}, 0, in(-std::chrono::hours(1))}));
  CHECK(fleet.registry->accesses().empty());
}

TEST_CASE("each change is in the audit, without a secret") {
  Fleet fleet;
  const auto key = fleet.create("phone", Role::operate);
  REQUIRE(fleet.registry->rotate_access("anna", "phone", Duration{0}));
  REQUIRE(fleet.registry->revoke_access("anna", "phone"));
  const auto entries = fleet.database->audited(10);
  REQUIRE(entries);
  REQUIRE(entries->size() == 3);
  CHECK(entries->at(0).what == "access.revoke");
  CHECK(entries->at(0).who == "anna");
  CHECK(entries->at(2).about == "phone, role operate");
  for (const auto& entry : *entries) CHECK(entry.about.find(key.substr(14)) == std::string::npos);
  CHECK(fleet.database->audited(1)->size() == 1);
}

TEST_CASE("a damaged file is refused in words") {
  test::TemporaryFolder folder;
  const std::string make = "head -c 8192 /dev/urandom > " + (folder / "access.db");
  REQUIRE(std::system(make.c_str()) == 0);  // NOLINT
  const auto opened = AccessDatabase::open(folder.path());
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("access.db") != std::string::npos);
}

TEST_CASE("what has expired is removed after a while, and the name is free") {
  Fleet fleet;
  fleet.create("visitor", Role::chat, {{}, {}, 0, in(std::chrono::hours(1))});
  fleet.create("phone");
  CHECK(*fleet.registry->remove_expired(wall_now()) == 0);
  CHECK(*fleet.registry->remove_expired(in(std::chrono::hours(2))) == 1);
  CHECK_FALSE(fleet.registry->named("visitor"));
  CHECK(fleet.registry->exists("phone", wall_now()));
  fleet.create("visitor");
}
