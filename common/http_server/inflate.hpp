// gzip, taken apart piece by piece, so that what it becomes can be bounded while it grows.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

namespace edgefleet::http_server {

class Inflater {
 public:
  Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  Inflater(Inflater&&) = delete;
  Inflater& operator=(Inflater&&) = delete;
  ~Inflater();

  enum class Outcome { more, refused, corrupt };
  // Gives at most 64 KiB at a time to `take`, until that says false (refused).
  using Take = std::function<bool(std::string_view)>;
  Outcome put(std::string_view compressed, const Take& take);
  [[nodiscard]] bool complete() const;  // what came so far is whole: it ends with a checksum that is right

 private:
  struct Zlib;
  std::unique_ptr<Zlib> zlib_;
};

}  // namespace edgefleet::http_server
