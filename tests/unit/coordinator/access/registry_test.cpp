#include "coordinator/access/registry.hpp"

#include <sys/stat.h>

#include <atomic>
#include <thread>

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
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const Access& access : registry->accesses()) all.push_back(access.name);
    return all;
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
  CHECK(fleet.registry->create_access("anna", "phone", Role::chat, {}).error().kind == ErrorKind::conflict);
  CHECK(fleet.registry->create_access("anna", "phone", Role::chat, {}, true));
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
  CHECK(fleet.registry->owner_of("phone", wall_now()));
  CHECK(fleet.registry->create_access("anna", "visitor", Role::chat, {}, true));
}

TEST_CASE("an access for the broker is its owner's, and ends with it and with its key") {
  Fleet fleet;
  const std::string owner(63, 'a');
  const std::string other = owner.substr(0, 62) + "b";  // their accesses have the same beginning
  fleet.create(owner, Role::submit, {{}, {"image.*"}, 7, {}});
  fleet.create(other);
  const auto made = fleet.registry->create_mqtt_access(owner);
  REQUIRE(made);
  const auto others = fleet.registry->create_mqtt_access(other)->name;
  for (int round = 0; round < 2; ++round) {
    const auto access = fleet.find(made->key);
    REQUIRE(access);
    CHECK(access->owner == owner);
    CHECK(access->limits.per_minute == 7);
    CHECK_FALSE(fleet.find(made->key, in(std::chrono::minutes(61))));
    CHECK(fleet.registry->owner_of(made->name, wall_now())->name == owner);
    CHECK(fleet.registry->owner_of(owner, wall_now())->name == owner);
    CHECK_FALSE(fleet.registry->owner_of(made->name, in(std::chrono::minutes(61))));
    CHECK_FALSE(fleet.registry->create_mqtt_access(made->name));
    fleet.reopen();
  }
  SECTION("with the owner") { REQUIRE(fleet.registry->revoke_access("anna", owner)); }
  SECTION("with the key, at once") { REQUIRE(fleet.registry->rotate_access("anna", owner, Duration{0})); }
  SECTION("with the key, after the overlap") {
    REQUIRE(fleet.registry->rotate_access("anna", owner, std::chrono::minutes(5)));
    CHECK(fleet.find(made->key, in(std::chrono::minutes(4))));
    CHECK_FALSE(fleet.find(made->key, in(std::chrono::minutes(6))));
    const auto later = fleet.registry->create_mqtt_access(owner);
    CHECK(fleet.find(later->key, in(std::chrono::minutes(6))));
    REQUIRE(fleet.registry->revoke_access("anna", owner));
  }
  CHECK_FALSE(fleet.find(made->key));
  fleet.reopen();
  CHECK_FALSE(fleet.find(made->key));
  CHECK_FALSE(fleet.registry->owner_of(made->name, wall_now()));
  CHECK(fleet.registry->owner_of(others, wall_now()));
}

TEST_CASE("one access has a bounded number of them at a time, whatever its name") {
  Fleet fleet;
  for (const std::string& owner : {std::string("short"), std::string(63, 'l')}) {
    fleet.create(owner);
    for (std::size_t i = 0; i < Registry::most_mqtt_accesses; ++i) REQUIRE(fleet.registry->create_mqtt_access(owner));
    CHECK(fleet.registry->create_mqtt_access(owner).error().kind == ErrorKind::busy);
  }
}

TEST_CASE("an access for the broker of an earlier version, which was a full one, ends") {
  Fleet fleet;
  const AccessLimits hour{{}, {}, 0, in(std::chrono::minutes(59))};
  fleet.create("anna", Role::admin);
  fleet.create("anna-mqtt-x1y2", Role::admin, hour);
  fleet.create("visitor", Role::chat, hour);
  fleet.create("zigbee-mqtt-main");
  fleet.create("former");
  REQUIRE(fleet.registry->revoke_access("anna", "former"));
  REQUIRE(fleet.database->read("as it was", [](SQLite::Database& db) -> Status {
    db.exec("ALTER TABLE accesses DROP COLUMN owner; DROP TABLE former_accesses");
    return success();
  }));
  for (int round = 0; round < 2; ++round) {
    fleet.reopen();
    CHECK(fleet.names() == std::vector<std::string>{"anna", "visitor", "zigbee-mqtt-main"});
    CHECK_FALSE(fleet.registry->create_access("anna", "former", Role::chat, {}));
  }
  CHECK(fleet.registry->create_access("anna", "anna-mqtt-x1y2", Role::chat, {}));
}

TEST_CASE("there is always an access with the role admin that has no end") {
  Fleet fleet;
  fleet.create("first", Role::admin);
  fleet.create("visitor", Role::admin, {{}, {}, 0, in(std::chrono::hours(1))});
  REQUIRE(fleet.registry->create_mqtt_access("first"));
  CHECK(fleet.registry->revoke_access("visitor", "first").error().kind == ErrorKind::conflict);
  for (int round = 0; round < 20; ++round) {
    REQUIRE(fleet.registry->create_access("first", "second", Role::admin, {}, true));
    std::atomic<int> revoked = 0;
    {
      std::jthread one([&] { revoked += fleet.registry->revoke_access("first", "second") ? 1 : 0; });
      std::jthread two([&] { revoked += fleet.registry->revoke_access("second", "first") ? 1 : 0; });
    }
    CHECK(revoked == 1);
    if (!fleet.registry->named("first")) {
      REQUIRE(fleet.registry->create_access("second", "first", Role::admin, {}, true));
      REQUIRE(fleet.registry->revoke_access("first", "second"));
    }
  }
  CHECK(fleet.registry->revoke_access("first", "visitor"));
}

TEST_CASE("a key that was replaced is none of the access") {
  Fleet fleet;
  const auto id = [](const std::string& key) { return *secret_id(access_prefix, key); };
  const auto has = [&](const std::string& key, WallTime at) { return fleet.registry->has_key("app", id(key), at); };
  const auto first = fleet.create("app");
  CHECK(has(first, wall_now()));
  const auto second = fleet.registry->rotate_access("anna", "app", std::chrono::hours(1))->key;
  CHECK(has(first, wall_now()));
  CHECK_FALSE(has(first, in(std::chrono::hours(2))));
  CHECK(has(second, in(std::chrono::hours(2))));
  REQUIRE(fleet.registry->revoke_access("anna", "app"));
  const auto third = fleet.registry->create_access("anna", "app", Role::chat, {}, true)->key;
  CHECK_FALSE(has(second, wall_now()));
  CHECK(has(third, wall_now()));
  CHECK_FALSE(fleet.registry->has_key("app", "", wall_now()));
}

TEST_CASE("nobody gets the name of one who acts in the audit, also where setup has reserved nothing") {
  Fleet fleet;
  for (const char* name : {"setup", "restore", "expiry", "others", "join-token", "coordinator", "http", "present"}) {
    const auto made = fleet.registry->create_access("anna", name, Role::chat, {});
    REQUIRE_FALSE(made);
    CHECK(made.error().message.find("reserved") != std::string::npos);
  }
}
