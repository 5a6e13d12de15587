#include "coordinator/recovery_setup.hpp"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "common/files/private_file.hpp"
#include "common/runtime/secret.hpp"
#include "coordinator/access/fleet_copy.hpp"

namespace edgefleet::coordinator {
namespace {

void say(const std::string& text) { std::printf("%s\n", text.c_str()); }

// A run that was killed has written the file, and has not kept the public half.
Result<std::optional<pki::RecoverySecret>> secret_in(const std::string& file) {
  std::error_code failure;
  if (!std::filesystem::exists(file, failure)) return std::optional<pki::RecoverySecret>();
  const auto text = read_secret(file);
  auto secret = text ? pki::RecoverySecret::from_text(*text) : Result<pki::RecoverySecret>(text.error());
  if (secret) return std::optional(std::move(*secret));
  return Error{file + " exists, and has no recovery key in it; name another file with --recovery-key-file",
               ErrorKind::conflict};
}

Result<pki::RecoverySecret> write_secret(const RecoveryWish& wish) {
  auto before = secret_in(wish.file);
  if (!before) return before.error();
  if (*before && !wish.again) return std::move(**before);
  if (*before) {
    return Error{wish.file + " has a recovery key already, which older backups need; name another file",
                 ErrorKind::conflict};
  }
  auto secret = pki::RecoverySecret::make();
  if (!secret) return secret;
  if (auto written = write_private_file(wish.file, secret->text() + "\n"); !written) return written.error();
  return secret;
}

Result<pki::RecoverySecret> show_secret() {
  auto secret = pki::RecoverySecret::make();
  if (!secret) return secret;
  say("\nRecovery key of this fleet. It is shown this once, and kept nowhere. Write it down, and keep it away from "
      "this\n"
      "machine: a backup's certification authority and accesses can be restored with it only, and by everybody who "
      "has\n"
      "both.\n");
  say("    " + secret->text() + "\n");
  std::fflush(stdout);
  return secret;
}

}  // namespace

Status make_recovery_key(const std::string& data, const RecoveryWish& wish) {
  const auto present = read_recovery_key(data);
  if (!present && !wish.again) return present.error();
  if (present && *present && !wish.again) return success();
  if (wish.file.empty() && ::isatty(STDOUT_FILENO) != 1) {
    std::fprintf(
        stderr,
        "WARNING: no recovery key was made, because there is no terminal to show it on: backups will have NO "
        "certification authority and NO accesses. Run setup on a terminal, or with --recovery-key-file FILE\n");
    return success();
  }
  const auto secret = wish.file.empty() ? show_secret() : write_secret(wish);
  if (!secret) return secret.error();
  const auto key = secret->public_half();
  if (!key) return key.error();
  if (auto kept = write_recovery_key(data, *key); !kept) return kept;
  say("The recovery key has the id " + key->id() + (wish.file.empty() ? "" : "; it is in " + wish.file) +
      (wish.again ? ". Backups made before need the one before" : ""));
  return success();
}

}  // namespace edgefleet::coordinator
