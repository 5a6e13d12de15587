// Which models the fleet offers, and which of them are tried for a name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/http_server/responder.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator::llm {

// "fast" -> the models to be tried, one after another.
using Aliases = std::map<std::string, std::vector<std::string>>;

struct Offered {
  std::string model;
  std::string owner;  // the provider, or "alias"
};

class Catalogue {
 public:
  Catalogue(Loop& loop, Aliases aliases) : loop_(loop), aliases_(std::move(aliases)) {}

  template <typename T>
  using Then = std::function<void(Result<T>)>;  // on the pool
  using Responder = http_server::Responder;

  // All of them, aliases included.
  void offered(const Responder& responder, Then<std::vector<Offered>> then) const;
  // In the order in which they are to be tried: of an alias first those that somebody can take at once. An error: none
  // can be used, and why.
  void chain(const Responder& responder, const Capability& capability, const std::string& model,
             Then<std::vector<std::string>> then) const;
  // The next one of a chain that somebody can serve, if the present one has nobody left and its task still waits.
  // The chain's size: none.
  void next(const Responder& responder, const TaskId& task, const std::vector<std::string>& chain, std::size_t at,
            Then<std::size_t> then) const;

 private:
  Loop& loop_;
  const Aliases aliases_;
};

}  // namespace edgefleet::coordinator::llm
