// Names and ids as types. Each is checked once, when it is parsed, and valid everywhere else.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/time.hpp"

namespace edgefleet {

// A checked string of one kind. `Tag::valid(std::string_view)` defines which strings are allowed.
template <typename Tag>
class Name {
 public:
  Name() = default;
  static std::optional<Name> parse(std::string_view text) {
    if (!Tag::valid(text)) return std::nullopt;
    return Name(std::string(text));
  }
  [[nodiscard]] const std::string& str() const { return text_; }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  friend auto operator<=>(const Name&, const Name&) = default;

 private:
  explicit Name(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`: agents, fleets, clients.
bool valid_name(std::string_view text);
// Words of `[a-z0-9-]` joined by dots, at most 128 characters.
bool valid_capability(std::string_view text);
// 1 to 64 of `[A-Za-z0-9_-]`.
bool valid_session(std::string_view text);

struct AgentTag {
  static bool valid(std::string_view t) { return valid_name(t); }
};
struct FleetTag {
  static bool valid(std::string_view t) { return valid_name(t); }
};
struct ClientTag {
  static bool valid(std::string_view t) { return valid_name(t); }
};
struct ExecutorTag {
  static bool valid(std::string_view t) { return valid_name(t); }
};
struct CapabilityTag {
  static bool valid(std::string_view t) { return valid_capability(t); }
};
struct SessionTag {
  static bool valid(std::string_view t) { return valid_session(t); }
};

using AgentName = Name<AgentTag>;
using FleetName = Name<FleetTag>;
using ClientName = Name<ClientTag>;
using ExecutorName = Name<ExecutorTag>;  // names an executor within its agent
using Capability = Name<CapabilityTag>;
using SessionId = Name<SessionTag>;  // one run of a process

inline constexpr std::string_view name_rule =
    "1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit";
inline constexpr std::string_view capability_rule = "words of a-z, 0-9 and '-' joined by dots, such as image.blur";

// A ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 of randomness; 26 characters as text. Ids made
// later sort later, which lets the store append.
struct Ulid {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  static std::optional<Ulid> parse(std::string_view text);
  [[nodiscard]] std::string str() const;
  friend auto operator<=>(const Ulid&, const Ulid&) = default;
};

template <typename Tag>
struct UlidOf : Ulid {
  UlidOf() = default;
  explicit UlidOf(Ulid id) : Ulid(id) {}
  static std::optional<UlidOf> parse(std::string_view text) {
    auto id = Ulid::parse(text);
    if (!id) return std::nullopt;
    return UlidOf(*id);
  }
  friend auto operator<=>(const UlidOf&, const UlidOf&) = default;
};
using TaskId = UlidOf<struct TaskTag>;
using BatchId = UlidOf<struct BatchTag>;

// Makes ULIDs that grow strictly, also within one millisecond and when the wall clock jumps back.
class UlidSource {
 public:
  explicit UlidSource(std::uint64_t seed) : random_(seed) {}
  Ulid next(WallTime now);

 private:
  std::uint64_t random_;
  Ulid last_;
};

}  // namespace edgefleet

template <typename Tag>
struct std::hash<edgefleet::Name<Tag>> {
  std::size_t operator()(const edgefleet::Name<Tag>& n) const noexcept { return std::hash<std::string>{}(n.str()); }
};
template <typename Tag>
struct std::hash<edgefleet::UlidOf<Tag>> {
  // The low half is random (or counts up within a millisecond): multiply to spread the count.
  std::size_t operator()(const edgefleet::UlidOf<Tag>& id) const noexcept {
    return static_cast<std::size_t>((id.low ^ (id.high << 1U)) * 0x9E3779B97F4A7C15ULL);
  }
};
