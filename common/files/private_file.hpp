// Files that only their owner may read: keys and other secrets.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// Of a file that is written for another user.
struct Owner {
  uid_t user;
  gid_t group;
};

// Mode 0600, on the disk when it returns. After a kill at any time the file has its old or its new content. Any thread;
// two that write the same file at the same time harm each other.
// `owner`: who has it from the moment it appears, if not the user of this process, who must then be root.
Status write_private_file(const std::string& path, const std::string& text, const std::optional<Owner>& owner = {});

}  // namespace edgefleet
