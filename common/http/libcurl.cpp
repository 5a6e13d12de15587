#include "common/http/libcurl.hpp"

#include <dlfcn.h>

#include <string>

namespace edgefleet::http {
namespace {

// The name has been the same since 2006; Debian's packages libcurl4 (12) and libcurl4t64 (13) have it.
constexpr const char* file_name = "libcurl.so.4";

template <typename Function>
bool resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool resolve_all(void* library, Libcurl& curl) {
  return resolve(library, "curl_global_init", curl.global_init) && resolve(library, "curl_easy_init", curl.easy_init) &&
         resolve(library, "curl_easy_setopt", curl.easy_setopt) &&
         resolve(library, "curl_easy_getinfo", curl.easy_getinfo) &&
         resolve(library, "curl_easy_reset", curl.easy_reset) &&
         resolve(library, "curl_easy_strerror", curl.easy_strerror) &&
         resolve(library, "curl_easy_cleanup", curl.easy_cleanup) &&
         resolve(library, "curl_multi_init", curl.multi_init) &&
         resolve(library, "curl_multi_add_handle", curl.multi_add_handle) &&
         resolve(library, "curl_multi_remove_handle", curl.multi_remove_handle) &&
         resolve(library, "curl_multi_perform", curl.multi_perform) &&
         resolve(library, "curl_multi_poll", curl.multi_poll) &&
         resolve(library, "curl_multi_wakeup", curl.multi_wakeup) &&
         resolve(library, "curl_multi_info_read", curl.multi_info_read) &&
         resolve(library, "curl_multi_cleanup", curl.multi_cleanup) &&
         resolve(library, "curl_slist_append", curl.slist_append) &&
         resolve(library, "curl_slist_free_all", curl.slist_free_all);
}

Result<Libcurl> load() {
  void* library = dlopen(file_name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    return Error{"HTTP needs libcurl, which is not installed here (Debian: apt install libcurl4): " +
                     std::string(reason == nullptr ? file_name : reason),
                 ErrorKind::unavailable};
  }
  Libcurl curl;
  if (!resolve_all(library, curl)) {
    return Error{std::string(file_name) + " is too old: 7.68 or newer is needed", ErrorKind::unavailable};
  }
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    return Error{"libcurl could not be initialised", ErrorKind::internal};
  }
  return curl;
}

}  // namespace

Result<const Libcurl*> libcurl() {
  static const Result<Libcurl> loaded = load();
  if (!loaded) return loaded.error();
  return &loaded.value();
}

}  // namespace edgefleet::http
