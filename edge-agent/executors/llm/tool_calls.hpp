// The tool calls of one answer, joined from the pieces that back ends stream. Pure.
//
// An index tells less than it should: some back ends give every call index 0, none at all, or begin with 1. So a known
// id decides before the index. A piece begins another call if it names a function and the call that it would continue
// has another id or another name, or has all its arguments while the piece has more. Every other piece continues a
// call. A call that comes again with the same id, name and arguments is the same call.
//
// Some back ends send a name in pieces, or the whole name so far again. Two names without arguments between them are
// one if a function of the request begins with it. Two names that are both those of functions are one only if their
// pieces have the same id, or the same index and no other id.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"
#include "common/protocol/call_lines.hpp"
#include "edge-agent/executors/llm/joined.hpp"
#include "edge-agent/executors/llm/object_end.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {

// What the calls of an answer depend on. Ids are unique in a conversation: clients and back ends find the call of a
// result by them.
struct CallContext {
  std::string id_prefix = "call";  // of ids that are made here
  std::set<std::string> taken_ids;  // by earlier turns
  std::set<std::string> functions;  // that the request offers
};

// whole: each has a complete call. repeated: the same, but pieces may have told it before; then it only adds what is
// missing, because what was told cannot be taken back.
enum class CallForm { pieces, whole, repeated };

class ToolCalls {
 public:
  explicit ToolCalls(CallContext context = {}) : context_(std::move(context)) {}

  // A piece as OpenAI streams it; `function.arguments` may be text or an object. An error: an unknown shape, or too
  // many calls.
  // `place`: of a repeated call in its list.
  Status add(std::string_view piece, CallForm form = CallForm::pieces, std::size_t place = 0);
  [[nodiscard]] bool empty() const { return calls_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool named() const;  // each call has the name of its function
  // What is new since the last call of tell(), a line each. The id of a call is settled once it has a name, and it is
  // told once the name cannot go on. White space that may be all of its arguments is not told, because in the list it
  // becomes `{}`.
  void tell(const std::function<void(const protocol::CallLine&)>& on_line);
  // OpenAI's list. An id that is missing, or repeats one of this answer or of an earlier turn, is replaced.
  [[nodiscard]] std::string list() const;

 private:
  struct Call {
    std::optional<std::int64_t> index;  // the back end's
    std::string id;
    std::string name;
    std::string arguments;
    ObjectEnd end;  // of its arguments
    bool has_arguments = false;  // other than white space
    bool begun = false;  // told: its name cannot change
    std::size_t told = 0;  // bytes of its arguments
    std::string settled_id;  // empty: it has no name yet
    Joined more;  // members that only pass by: `extra_content` with Gemini's signature, for example
    Joined more_function;  // the same within `function`
  };
  struct Piece {
    std::optional<std::int64_t> index;
    std::string id;
    std::string name;
    std::string arguments;
  };
  static std::string written(const Call& call, std::string_view arguments);
  static void tell_arguments(std::size_t index, Call& call,
                             const std::function<void(const protocol::CallLine&)>& on_line);
  void settle_id(Call& call);
  [[nodiscard]] Call* with_id(const std::string& id);
  [[nodiscard]] Call* continued_by(const Piece& piece);
  [[nodiscard]] Call* repeated_by(const Piece& piece, std::size_t place);
  [[nodiscard]] bool begins_another(const Call& call, const Piece& piece) const;
  [[nodiscard]] bool may_go_on(const Call& call) const;
  [[nodiscard]] bool within_reach(const Call& call) const;
  [[nodiscard]] std::optional<std::string> longer_name(const Call& call, const Piece& piece) const;
  static bool complete(const Call& call);
  static bool same(const Call& call, const Piece& piece);
  Result<Call*> call_of(Piece& piece, CallForm form, std::size_t place);

  CallContext context_;
  std::size_t made_ids_ = 0;
  std::vector<Call> calls_;
  std::size_t bytes_ = 0;
};

// The arguments of a call as the text of an object. No value: they are none. Back ends and clients write "no arguments"
// as null, as "" or not at all.
std::optional<std::string> arguments_of(std::string_view value);

}  // namespace edgefleet::agent::llm
