// AccessDatabase's templates, for the sources that change or read its tables.
#pragma once

#include "coordinator/access/database.hpp"
#include "coordinator/store/sqlite/guarded.hpp"

namespace edgefleet::coordinator {

template <typename Change>
Status AccessDatabase::write(AuditEntry entry, Change change) {
  const std::lock_guard lock(mutex_);
  return guarded(std::string(entry.what), [&]() -> Status {
    SQLite::Transaction transaction(*db_);
    if (Status changed = change(*db_, entry); !changed) return changed;
    insert(*db_, entry);
    transaction.commit();
    return success();
  });
}

template <typename Read>
auto AccessDatabase::read(const std::string& what, Read read_rows) const
    -> decltype(read_rows(std::declval<SQLite::Database&>())) {
  const std::lock_guard lock(mutex_);
  return guarded(what, [&] { return read_rows(*db_); });
}

}  // namespace edgefleet::coordinator
