#include "edge-agent/executors/process/landlock.hpp"

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "common/core/error_text.hpp"

namespace edgefleet::agent::landlock {
namespace {

// <linux/landlock.h> of Debian 12 has only the first of these and the first field of the struct.
constexpr std::uint64_t refer = LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t truncate = 1ULL << 14U;
constexpr std::uint64_t signals = 1ULL << 1U;
struct RulesetAttributes {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};

constexpr std::uint64_t since_the_first =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
constexpr std::uint64_t of_files =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | truncate;

}  // namespace

Rights rights_of(int version) {
  Rights rights;
  rights.folder = since_the_first;
  if (version >= 2) rights.folder |= refer;  // before, no file can be moved or linked to another folder
  if (version >= 3) rights.folder |= truncate;
  if (version >= 6) rights.scopes = signals;
  rights.file = rights.folder & of_files;
  return rights;
}

Result<int> version() {
  const auto found = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (found > 0) return static_cast<int>(found);
  if (errno == ENOSYS) return Error{"this kernel is built without Landlock", ErrorKind::unavailable};
  if (errno == EOPNOTSUPP) return Error{"Landlock was not enabled when this kernel started", ErrorKind::unavailable};
  return Error{"Landlock cannot be used here: " + error_text(errno), ErrorKind::unavailable};
}

Result<UniqueFd> make_ruleset(const Rights& rights) {
  const RulesetAttributes attributes{rights.folder, 0, rights.scopes};
  UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U)));
  if (!ruleset) return Error{"making a Landlock ruleset: " + error_text(errno), ErrorKind::unavailable};
  return ruleset;
}

bool allow(const UniqueFd& ruleset, const UniqueFd& path, const Rights& rights) {
  struct stat info{};
  if (::fstat(path.get(), &info) != 0) return false;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(info.st_mode) ? rights.folder : rights.file;
  rule.parent_fd = path.get();
  return ::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) == 0;
}

bool restrict_self(int ruleset) {
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0;
}

}  // namespace edgefleet::agent::landlock
