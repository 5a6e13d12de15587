#include "common/logins/logins.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "common/files/durable_write.hpp"
#include "common/files/folder.hpp"
#include "common/files/private_file.hpp"
#include "common/files/text_digest.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_bytes = 1UL << 20U;
constexpr std::size_t longest_word = 2048;
constexpr auto lock_pause = std::chrono::milliseconds(20);
constexpr int lock_tries = 250;  // a change takes milliseconds

std::string file_in(const std::string& folder) { return folder + "/logins.json"; }

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// Closed when it goes out of scope.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// Root may read what it has written for another user.
Status check_private(const std::string& path, const struct stat& info) {
  if (info.st_uid != ::geteuid() && ::geteuid() != 0) {
    return invalid(path + " belongs to user " + std::to_string(info.st_uid) + ", but this program runs as user " +
                   std::to_string(::geteuid()) + ": remove it, and log in again with `edgefleet login URL`");
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0) return success();
  return invalid("others can read the keys in " + path + "; run `chmod " + (S_ISDIR(info.st_mode) ? "700 " : "600 ") +
                 path + "`, and rotate the keys if somebody may have read them");
}

// No value: there is no such file.
Result<std::optional<std::string>> read_private(const std::string& path) {
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);  // a pipe must not hold this up
  if (file.fd() < 0 && errno == ENOENT) return std::optional<std::string>();
  struct stat info{};
  if (file.fd() < 0 || ::fstat(file.fd(), &info) != 0) return disk_error(path + " cannot be read");
  if (!S_ISREG(info.st_mode)) return invalid(path + " is not a file: remove it");
  if (auto safe = check_private(path, info); !safe) return safe.error();
  std::string text;
  std::array<char, 4096> piece{};
  while (text.size() <= most_bytes) {
    const auto count = ::read(file.fd(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return disk_error(path + " cannot be read");
    if (count == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  return std::optional(text);
}

// It becomes a line of a request, or a part of a path.
bool is_word(std::string_view text) {
  return text.size() <= longest_word && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
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
  for (const std::string_view part :
       std::initializer_list<std::string_view>{login.url, login.name, login.role, login.key, ca}) {
    if (!is_word(part)) fields.fail("a value is not one word");
  }
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
    if (errno != EEXIST) return disk_error(path + " cannot be created");
    const Descriptor existing(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    struct stat info{};
    if (existing.fd() < 0 || ::fstat(existing.fd(), &info) != 0 || info.st_uid != owner.user) {
      return invalid(path + " is not a folder of the user whose login it is");
    }
    if (path == folder && ::fchmod(existing.fd(), S_IRWXU) != 0) {
      return disk_error(path + " cannot be closed to others");
    }
  }
  return success();
}

Status make_folder(const std::string& folder, const std::optional<Owner>& owner) {
  if (folder.empty()) return invalid("neither XDG_CONFIG_HOME nor HOME is set: there is no place for a login");
  if (owner) return make_folder_for(folder, *owner);
  std::error_code failure;
  fs::create_directories(fs::path(folder).parent_path(), failure);
  if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) return disk_error(folder + " cannot be created");
  if (auto made = make_private_folder(folder, "the folder of logins"); !made) return made;
  // Others may have been able to look in before there was a key in it.
  return ::chmod(folder.c_str(), S_IRWXU) == 0 ? success() : Status(disk_error(folder + " cannot be closed to others"));
}

Result<Logins> logins_in(const std::string& folder, const std::string& text) {
  if (text.size() > most_bytes) return invalid("it is too large");
  Logins logins;
  auto fields = json::Fields::untrusted(text);
  logins.chosen = fields.string("chosen").value_or("");
  for (const auto element : fields.array("logins")) {
    auto login = read_login(element, folder);
    if (!login) return login.error();
    logins.all.push_back(std::move(*login));
  }
  if (!fields.ok()) return fields.error();
  return logins;
}

// While `change` runs, no other process changes the logins in the folder, which exists.
template <typename Change>
auto locked(const std::string& folder, Change change) -> decltype(change()) {
  const Descriptor lock(folder, O_RDONLY | O_DIRECTORY);
  if (lock.fd() < 0) return disk_error(folder + " cannot be read");
  for (int i = 0; ::flock(lock.fd(), LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK && errno != EINTR) return disk_error(folder + " cannot be locked");
    if (i >= lock_tries) return Error{"another program is changing the logins in " + folder, ErrorKind::conflict};
    std::this_thread::sleep_for(lock_pause);
  }
  return change();
}

// `old_ca`: removed if no login needs it any more.
Status write(const std::string& folder, const Logins& logins, const std::string& old_ca,
             const std::optional<Owner>& owner = {}) {
  if (auto written = write_private_file(file_in(folder), text_of(logins, folder), owner); !written) return written;
  const bool needed = std::ranges::find(logins.all, old_ca, &Login::ca_file) != logins.all.end();
  if (old_ca.starts_with(folder + "/ca-") && !needed) ::unlink(old_ca.c_str());
  return success();
}

// Changes the login of this URL, if there is one for which `fits`; otherwise an error of kind not_found.
template <typename Fits, typename Change>
Status change_login(const std::string& folder, const std::string& url, Fits fits, Change change) {
  const Error none{"there is no login at " + url, ErrorKind::not_found};
  std::error_code unknown;
  if (folder.empty() || !fs::exists(folder, unknown)) return none;
  return locked(folder, [&]() -> Status {
    auto logins = read_logins(folder);
    if (!logins) return logins.error();
    const auto found = std::ranges::find(logins->all, url, &Login::url);
    if (found == logins->all.end() || !fits(*found)) return none;
    const std::string ca = found->ca_file;
    change(*logins, found);
    return write(folder, *logins, ca);
  });
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
  struct stat info{};
  // One that this user cannot even see has no login of this user.
  if (folder.empty() || ::stat(folder.c_str(), &info) != 0) return Logins{};
  if (auto safe = check_private(folder, info); !safe) return safe.error();
  const std::string path = file_in(folder);
  const auto text = read_private(path);
  if (!text) return text.error();
  if (!*text) return Logins{};
  auto logins = logins_in(folder, **text);
  if (logins) return logins;
  return invalid(path + " is damaged (" + logins.error().message +
                 "); remove it, and log in again with `edgefleet login URL`");
}

Result<std::string> keep_ca(const std::string& folder, const std::string& ca_pem, const std::optional<Owner>& owner) {
  if (auto made = make_folder(folder, owner); !made) return made.error();
  return locked(folder, [&]() -> Result<std::string> {
    const std::string path = folder + "/ca-" + sha256(ca_pem).substr(0, 16) + ".pem";
    if (auto written = write_private_file(path, ca_pem, owner); !written) return written.error();
    return path;
  });
}

Status keep_login(const std::string& folder, const Login& login, const std::optional<Owner>& owner) {
  for (const std::string_view part :
       std::initializer_list<std::string_view>{login.url, login.name, login.role, login.key}) {
    if (!is_word(part)) return invalid("a part of the login at " + login.url + " is not one word of ASCII");
  }
  if (auto made = make_folder(folder, owner); !made) return made;
  return locked(folder, [&]() -> Status {
    auto logins = read_logins(folder);
    if (!logins) return logins.error();
    const Login* old = logins->find(login.url);
    const std::string old_ca = old == nullptr ? "" : old->ca_file;
    std::erase_if(logins->all, [&](const Login& other) { return other.url == login.url; });
    logins->chosen = login.url;
    logins->all.push_back(login);
    return write(folder, *logins, old_ca, owner);
  });
}

Status replace_key(const std::string& folder, const std::string& url, const std::string& name, const std::string& key) {
  if (key.empty() || !is_word(key)) return invalid("the new key is not one word of ASCII");
  return change_login(
      folder, url, [&](const Login& login) { return login.name == name; },
      [&](Logins&, auto found) { found->key = key; });
}

Status remove_login(const std::string& folder, const std::string& url) {
  return change_login(
      folder, url, [](const Login&) { return true; },
      [&](Logins& logins, auto found) {
        logins.all.erase(found);
        if (logins.chosen == url) logins.chosen = logins.all.empty() ? "" : logins.all.back().url;
      });
}

}  // namespace edgefleet
