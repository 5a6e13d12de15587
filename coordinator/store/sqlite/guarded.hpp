// Turns SQLite's exceptions into a Result, with advice for the common ones.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <string>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

inline Error database_error(const std::string& what, const SQLite::Exception& failure) {
  const int code = failure.getErrorCode();
  // The second code: the log's index, a file of its own, cannot grow.
  if (code == SQLITE_FULL || failure.getExtendedErrorCode() == SQLITE_IOERR_SHMSIZE)
    return Error{what + ": the disk is full; free some space", ErrorKind::full};
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return Error{what + ": the database is damaged (" + failure.what() +
                 "); nothing was changed. Run `edgefleet-coordinator check --data DIR` for details, or restore a "
                 "backup with `edgefleet-coordinator restore --from BACKUP --data DIR --force`"};
  }
  return Error{what + ": " + failure.what()};
}

template <typename Call>
auto guarded(const std::string& what, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const SQLite::Exception& failure) {
    return database_error(what, failure);
  }
}

}  // namespace edgefleet::coordinator
