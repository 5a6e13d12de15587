// Inflates gzip piece by piece, so that the inflated size can be bounded while it grows.
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
  // Passes at most 64 KiB at a time to `take`, until it returns false (refused).
  using Take = std::function<bool(std::string_view)>;
  Outcome put(std::string_view compressed, const Take& take);
  [[nodiscard]] bool complete() const;  // the input so far is complete: it ends with a valid checksum

 private:
  struct Zlib;
  std::unique_ptr<Zlib> zlib_;
};

}  // namespace edgefleet::http_server
