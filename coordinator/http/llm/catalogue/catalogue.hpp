// The models that the fleet offers, and the models to try for a name.
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
  // The one that a name stands for, an alias included.
  void find(const Responder& responder, const std::string& name, Then<Offered> then) const;
  // The models to try, in order: for an alias, models with a free slot come first. An error says why no model can be
  // used.
  void chain(const Responder& responder, const Capability& capability, const std::string& model,
             Then<std::vector<std::string>> then) const;
  // Index of the next model of a chain that an agent can serve, if no agent is left for the current one and its task
  // still waits. The chain's size: none.
  void next(const Responder& responder, const TaskId& task, const std::vector<std::string>& chain, std::size_t at,
            Then<std::size_t> then) const;

 private:
  Loop& loop_;
  const Aliases aliases_;
};

}  // namespace edgefleet::coordinator::llm
