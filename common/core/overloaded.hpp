// One function object out of several lambdas: std::visit(overloaded{...}, variant) without a default.
#pragma once

namespace edgefleet {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

}  // namespace edgefleet
