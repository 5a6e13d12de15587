// The parts of the coordinator's shell in a test without a broker, with manual turns of the loop.
#pragma once

#include "common/system/clock.hpp"
#include "coordinator/shell/mqtt_link.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/temporary.hpp"

namespace edgefleet::test {

// Engine, store and requests; commit() is the part of a turn that follows the events.
struct Shell {
  TemporaryFolder folder;
  FailingStore store{folder.path()};
  log::Complaints complaints;
  coordinator::Engine engine{coordinator::Policy{}, Reign{1, *SessionId::parse("coordinator")}, complaints};
  coordinator::Requests requests{engine, store};
  coordinator::AfterCommit after_commit;

  void commit() {
    using namespace coordinator;
    Drain& drain = engine.drain();
    const auto written = store.commit(drain.close(monotonic_now(), Duration{0}));
    if (!written) throw std::runtime_error(written.error().message);
    drain.committed(Engine::now(), [&](const Drain::AfterCommit& after) {
      for (const Deferred& effect : after.effects) answer(effect);
      after_commit.tell(after.changes, engine.state());
    });
  }
  void answer(const coordinator::Deferred& effect) {
    using namespace coordinator;
    if (const auto* accepted = std::get_if<Accepted>(&effect)) requests.answer(*accepted);
    if (const auto* rejected = std::get_if<Rejected>(&effect)) requests.answer(*rejected);
    if (const auto* done = std::get_if<Done>(&effect)) requests.answer(*done);
  }
};

}  // namespace edgefleet::test
