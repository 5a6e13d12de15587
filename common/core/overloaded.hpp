// Combines lambdas into one function object: std::visit(overloaded{...}, variant) without a default.
#pragma once

#include <type_traits>
#include <variant>

namespace edgefleet {

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

// Whether T is one of a variant's types: lets one lambda serve a named subset and nothing else.
template <typename T, typename Variant>
inline constexpr bool is_alternative_of = false;
template <typename T, typename... Ts>
inline constexpr bool is_alternative_of<T, std::variant<Ts...>> = (std::is_same_v<T, Ts> || ...);

}  // namespace edgefleet
