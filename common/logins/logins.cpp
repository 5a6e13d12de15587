#include "common/logins/logins.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/files/durable_write.hpp"
#include "common/files/folder.hpp"
#include "common/files/private_file.hpp"
#include "common/files/text_digest.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_bytes = 1UL << 20U;

std::string file_in(const std::string& folder) { return folder + "/logins.json"; }

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

Status refuse_if_others_can_read(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return disk_error(path + " cannot be read");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return success();
  return invalid("others can read the keys in " + path + "; run `chmod 600 " + path +
                 "`, and rotate the keys if somebody may have read them");
}

std::string text_of(const Logins& logins, const std::string& folder) {
  std::string text;
  {
    json::ObjectWriter object(text);
    if (!logins.chosen.empty()) object.string("chosen", logins.chosen);
    json::ArrayWriter array(object.key("logins"));
    for (const Login& login : logins.all) {
      json::ObjectWriter one(array.next());
      one.string("url", login.url);
      one.string("name", login.name);
      one.string("role", login.role);
      one.string("key", login.key);
      // Beside this file, so that the folder may be moved.
      if (login.ca_file.starts_with(folder + '/')) one.string("ca", login.ca_file.substr(folder.size() + 1));
    }
  }
  return text + '\n';
}

Result<Login> read_login(std::string_view text, const std::string& folder) {
  json::Fields fields(text);
  Login login;
  for (const char* needed : {"url", "name", "key"}) fields.require(needed);
  login.url = fields.string("url").value_or("");
  login.name = fields.string("name").value_or("");
  login.role = fields.string("role").value_or("");
  login.key = fields.string("key").value_or("");
  const auto ca = fields.string("ca").value_or("");
  if (ca.find('/') != std::string::npos) fields.fail("`ca` is not a file beside it");
  if (!ca.empty()) login.ca_file = folder + '/' + ca;
  if (!fields.ok()) return fields.error();
  return login;
}

Status give(const std::string& path, const std::optional<Owner>& owner) {
  if (!owner || ::lchown(path.c_str(), owner->user, owner->group) == 0) return success();
  return disk_error("the owner of " + path + " cannot be set");
}

// For another user, whose own folder it is.
Status make_folder_for(const std::string& folder, const Owner& owner) {
  for (const auto& path : {fs::path(folder).parent_path().string(), folder}) {
    if (::mkdir(path.c_str(), S_IRWXU) == 0) {
      if (auto given = give(path, owner); !given) return given;
      continue;
    }
    struct stat info{};
    if (errno != EEXIST || ::lstat(path.c_str(), &info) != 0) return disk_error(path + " cannot be created");
    if (!S_ISDIR(info.st_mode) || info.st_uid != owner.user) {
      return invalid(path + " is not a folder of the user whose login it is");
    }
  }
  return success();
}

Status make_folder(const std::string& folder, const std::optional<Owner>& owner) {
  if (folder.empty()) return invalid("neither XDG_CONFIG_HOME nor HOME is set: there is no place for a login");
  if (owner) return make_folder_for(folder, *owner);
  std::error_code failure;
  fs::create_directories(fs::path(folder).parent_path(), failure);
  return make_private_folder(folder, "the folder of logins");
}

Status write(const std::string& folder, const Logins& logins) {
  return write_private_file(file_in(folder), text_of(logins, folder));
}

}  // namespace

const Login* Logins::find(const std::string& url) const {
  const auto found = std::ranges::find(all, url, &Login::url);
  return found == all.end() ? nullptr : &*found;
}

std::string logins_folder() {
  if (const auto folder = variable("XDG_CONFIG_HOME"); !folder.empty()) return folder + "/edgefleet";
  if (const auto home = variable("HOME"); !home.empty()) return home + "/.config/edgefleet";
  return {};
}

Result<Logins> read_logins(const std::string& folder) {
  Logins logins;
  const std::string path = file_in(folder);
  std::error_code unknown;
  if (folder.empty() || !fs::exists(path, unknown)) return logins;
  if (auto safe = refuse_if_others_can_read(path); !safe) return safe.error();
  std::ifstream file(path, std::ios::binary);
  std::string text(most_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  const auto damaged = [&](const std::string& why) {
    return invalid(path + " is damaged (" + why + "); remove it, and log in again with `edgefleet login URL`");
  };
  if (text.size() > most_bytes) return damaged("it is too large");
  auto fields = json::Fields::untrusted(text);
  logins.chosen = fields.string("chosen").value_or("");
  for (const auto element : fields.array("logins")) {
    auto login = read_login(element, folder);
    if (!login) return damaged(login.error().message);
    logins.all.push_back(std::move(*login));
  }
  if (!fields.ok()) return damaged(fields.error().message);
  return logins;
}

Result<std::string> keep_ca(const std::string& folder, const std::string& ca_pem, const std::optional<Owner>& owner) {
  if (auto made = make_folder(folder, owner); !made) return made.error();
  const std::string path = folder + "/ca-" + sha256(ca_pem).substr(0, 16) + ".pem";
  if (auto written = write_private_file(path, ca_pem); !written) return written.error();
  if (auto given = give(path, owner); !given) return given.error();
  return path;
}

Status keep_login(const std::string& folder, const Login& login, const std::optional<Owner>& owner) {
  if (auto made = make_folder(folder, owner); !made) return made;
  auto logins = read_logins(folder);
  if (!logins) return logins.error();
  std::erase_if(logins->all, [&](const Login& other) { return other.url == login.url; });
  logins->chosen = login.url;
  logins->all.push_back(login);
  if (auto written = write(folder, *logins); !written) return written;
  return give(file_in(folder), owner);
}

Status remove_login(const std::string& folder, const std::string& url) {
  auto logins = read_logins(folder);
  if (!logins) return logins.error();
  if (std::erase_if(logins->all, [&](const Login& login) { return login.url == url; }) == 0) {
    return Error{"there is no login at " + url, ErrorKind::not_found};
  }
  if (logins->chosen == url) logins->chosen = logins->all.empty() ? "" : logins->all.back().url;
  return write(folder, *logins);
}

}  // namespace edgefleet
