// The logins of one user: which coordinators, with which key. `edgefleet` uses them, and `edgefleet-coordinator setup`
// makes the first one.
//
//   FOLDER/logins.json       for its owner only, as the folder
//   FOLDER/ca-DIGEST.pem     the certification authority of a fleet
//
// Any thread, and any number of processes: those that change something take turns. No error has a key in it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/files/private_file.hpp"

namespace edgefleet {

struct Login {
  std::string url;  // https://HOST:PORT
  std::string name;  // of the access
  std::string role;
  std::string key;
  std::string ca_file;  // path; empty: the system's authorities
};

struct Logins {
  std::vector<Login> all;
  std::string chosen;  // the URL that is used if none is given; empty: none

  [[nodiscard]] const Login* find(const std::string& url) const;
};

// $XDG_CONFIG_HOME/edgefleet, or ~/.config/edgefleet; empty: there is neither.
std::string logins_folder();

// None if there is no file. Errors: another user can read the folder or the file, or has it; it is damaged.
Result<Logins> read_logins(const std::string& folder);

// Keeps the certificate of an authority in the folder; returns its path.
Result<std::string> keep_ca(const std::string& folder, const std::string& ca_pem,
                            const std::optional<Owner>& owner = {});
// Replaces the one of the same URL, and makes it the chosen one. `owner`: who shall have the files, if it is not this
// process's user. Durable.
Status keep_login(const std::string& folder, const Login& login, const std::optional<Owner>& owner = {});
// After a rotation: the login of this URL has a new key, if it is one of the access `name`; otherwise an error of kind
// not_found.
Status replace_key(const std::string& folder, const std::string& url, const std::string& name, const std::string& key);
// With the certificate, if no other login needs it. Error of kind not_found: there is none for this URL.
Status remove_login(const std::string& folder, const std::string& url);

}  // namespace edgefleet
