// The implementations of the port that the contract is checked with.
#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>

#include "coordinator/store/backup/backup.hpp"
#include "coordinator/store/data/directory.hpp"
#include "coordinator/store/sqlite/sqlite.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/temporary.hpp"
#include "tests/unit/coordinator/store/contract.hpp"

namespace edgefleet::test {
namespace {

namespace fs = std::filesystem;

class KeptSqlite : public KeptStore {
 public:
  std::unique_ptr<Store> open() override {
    auto store = open_sqlite_store(data());
    if (!store) FAIL(store.error().message);
    return std::move(*store);
  }

  // The files as they are now replace those that an orderly end leaves.
  void kill(std::unique_ptr<Store> store) override {
    const std::string killed = folder_.path() + "/killed";
    fs::create_directory(killed);
    for (const char* suffix : {"", "-wal"}) fs::copy_file(path() + suffix, database_path(killed) + suffix);
    store.reset();
    fs::remove_all(data());
    fs::rename(killed, data());
  }

  void restore_backup() override {
    const std::string backup = folder_.path() + "/backup.db";
    if (const auto made = back_up(data(), backup, {}); !made) FAIL(made.error().message);
    if (const auto restored = restore(backup, data(), true, {}); !restored) FAIL(restored.error().message);
    fs::remove(backup);
  }

  // The clock is the last row that any write changes.
  void break_writes(bool broken) override {
    SQLite::Database other(path(), SQLite::OPEN_READWRITE, 5000);
    other.exec(broken ? "CREATE TRIGGER refuse BEFORE UPDATE ON meta WHEN NEW.key = 'clock_ms' "
                        "BEGIN SELECT RAISE(ABORT, 'refused'); END"
                      : "DROP TRIGGER refuse");
  }

 protected:
  std::string data() const { return folder_.path() + "/data"; }

 private:
  std::string path() const { return database_path(data()); }

  TemporaryFolder folder_;
};

// The store of the shell's tests: it must fail as the real one does.
class KeptFailing final : public KeptSqlite {
 public:
  std::unique_ptr<Store> open() override {
    auto store = std::make_unique<FailingStore>(data());
    open_ = store.get();
    return store;
  }
  void break_writes(bool broken) override { open_->full = broken; }

 private:
  FailingStore* open_ = nullptr;
};

template <typename Kind>
std::unique_ptr<KeptStore> make() {
  return std::make_unique<Kind>();
}

}  // namespace

const std::vector<StoreKind>& store_kinds() {
  static const std::vector<StoreKind> kinds = {
      {"SQLite", make<KeptSqlite>},
      {"SQLite behind the failing store of the shell's tests", make<KeptFailing>},
  };
  return kinds;
}

}  // namespace edgefleet::test
