// The state, time and effects that the parts of the core share within one step.
#pragma once

#include "coordinator/core/effect.hpp"
#include "coordinator/core/event.hpp"
#include "coordinator/core/state.hpp"

namespace edgefleet::coordinator {

struct Context {
  State& state;
  Now now;
  Effects& effects;

  template <typename E>
  void emit(E effect) {
    effects.emplace_back(std::move(effect));
  }
  void note(NoteLevel level, std::string text, std::string kind) {
    emit(Note{level, std::move(text), std::move(kind)});
  }
};

}  // namespace edgefleet::coordinator
