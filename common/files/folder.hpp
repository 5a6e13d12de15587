// The folders in which a program keeps its data.
#pragma once

#include <string>

#include "common/core/result.hpp"

namespace edgefleet {

// Creates the folder with its parents if it is absent, for its owner only. An existing folder is refused if it is a
// symbolic link, belongs to another user, or can be changed by others: whoever made it could choose what is read and
// where it is written. `option`: of the command line, for the error.
Status make_private_folder(const std::string& path, const std::string& option);
// The same for a folder that is created later; an absent one is a success.
Status check_private_folder(const std::string& path, const std::string& option);

// Held by the program that uses a folder: an exclusive lock of a file in it.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  FolderLock(FolderLock&&) = delete;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();
  // Once. Error of kind conflict, with the text `in_use`: another program holds it.
  Status take(const std::string& folder, const std::string& in_use);

 private:
  int fd_ = -1;
};

}  // namespace edgefleet
