#include "edge-agent/executors/llm/tool_calls.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/core/utf8.hpp"

namespace edgefleet::agent::llm {
namespace {

Error unknown_shape(const std::string& what) { return Error{what, ErrorKind::invalid}; }

constexpr std::size_t most_told_at_once = 4096;  // bytes of arguments in a line: lines are joined to messages

// Text, or a value that stands for itself.
std::string arguments_in(std::string_view value) {
  if (value == "null") return {};
  return is_text(value) ? text_of(value) : std::string(value);
}

template <std::size_t n>
void keep_unknown(const Members& members, const std::array<std::string_view, n>& known, Joined& into) {
  for (const auto& [name, value] : members.all().members()) {
    if (value != "null" && std::find(known.begin(), known.end(), name) == known.end()) into.add(name, value);
  }
}

constexpr std::array<std::string_view, 6> known_of_call = {"index", "id", "type", "function", "name", "arguments"};
constexpr std::array<std::string_view, 3> known_of_function = {"name", "arguments", "index"};

}  // namespace

std::optional<std::string> arguments_of(std::string_view value) {
  std::string text = arguments_in(value);
  if (blank(text)) return "{}";
  const bool object = is_object(std::string_view(text).substr(text.find_first_not_of(white)));
  if (!object || !json::well_formed(text)) return std::nullopt;
  return text;
}

// Another function has a longer name that begins with this one.
bool ToolCalls::may_go_on(const Call& call) const {
  const auto longer = context_.functions.upper_bound(call.name);
  return !call.begun && !call.has_arguments && longer != context_.functions.end() && longer->starts_with(call.name);
}

// A later piece may continue it: it is the newest one, or has an id or an index of its own.
bool ToolCalls::within_reach(const Call& call) const {
  if (&call == &calls_.back() || !call.id.empty()) return true;
  const auto same_index = [&](const Call& later) { return later.index == call.index; };
  return call.index && std::none_of(&call + 1, &calls_.back() + 1, same_index);
}

// The name of `call` with the name of a piece that goes on with it; no value: it does not.
std::optional<std::string> ToolCalls::longer_name(const Call& call, const Piece& piece) const {
  const auto& functions = context_.functions;
  const bool same_id = !piece.id.empty() && piece.id == call.id;
  const bool other_id = !same_id && !piece.id.empty() && !call.id.empty();
  // A back end that gave this call an id would give one to the next call as well.
  const bool same_index = !call.id.empty() && piece.id.empty() && piece.index && piece.index == call.index;
  const bool two_functions = !same_id && !same_index && functions.contains(call.name) && functions.contains(piece.name);
  if (other_id || two_functions || piece.name.empty() || piece.name == call.name || !may_go_on(call)) {
    return std::nullopt;
  }
  for (const std::string& name : {call.name + piece.name, piece.name}) {
    const auto function = functions.lower_bound(name);
    if (name.starts_with(call.name) && function != functions.end() && function->starts_with(name)) return name;
  }
  return std::nullopt;
}

bool ToolCalls::begins_another(const Call& call, const Piece& piece) const {
  if (piece.name.empty() || call.name.empty() || longer_name(call, piece)) return false;
  const bool both_have_ids = !piece.id.empty() && !call.id.empty();
  if (piece.name != call.name || (both_have_ids && piece.id != call.id)) return true;
  const bool late_id = !piece.id.empty() && call.id.empty();
  return (late_id || !blank(piece.arguments)) && complete(call);
}

// Arguments that still grow are looked at with each piece, so they are parsed only when they may be complete.
bool ToolCalls::complete(const Call& call) { return call.end.reached() && json::well_formed(call.arguments); }

bool ToolCalls::same(const Call& call, const Piece& piece) {
  return !piece.id.empty() && piece.id == call.id && piece.name == call.name && piece.arguments == call.arguments &&
         complete(call);
}

ToolCalls::Call* ToolCalls::with_id(const std::string& id) {
  if (id.empty()) return nullptr;
  const auto found = std::find_if(calls_.rbegin(), calls_.rend(), [&](const Call& call) { return call.id == id; });
  return found == calls_.rend() ? nullptr : &*found;
}

// The newest one that it may belong to.
ToolCalls::Call* ToolCalls::continued_by(const Piece& piece) {
  const auto belongs = [&](const Call& call) {
    if (piece.index && call.index) return *piece.index == *call.index;
    return piece.id.empty() || call.id.empty() || piece.id == call.id;
  };
  if (Call* known = with_id(piece.id)) return begins_another(*known, piece) ? nullptr : known;
  const auto candidate = std::find_if(calls_.rbegin(), calls_.rend(), belongs);
  if (candidate != calls_.rend()) return begins_another(*candidate, piece) ? nullptr : &*candidate;
  return piece.name.empty() && !piece.index && !calls_.empty() ? &calls_.back() : nullptr;
}

// By its id, or by its place if one of the two has none.
ToolCalls::Call* ToolCalls::repeated_by(const Piece& piece, std::size_t place) {
  if (Call* known = with_id(piece.id); known != nullptr && known->name == piece.name) return known;
  if (place >= calls_.size() || calls_[place].name != piece.name) return nullptr;
  return piece.id.empty() || calls_[place].id.empty() ? &calls_[place] : nullptr;
}

// The call that `piece` belongs to, a new one if need be; nullptr: it adds nothing. Of a repeated call, only the
// arguments that are missing remain in `piece`.
Result<ToolCalls::Call*> ToolCalls::call_of(Piece& piece, CallForm form, std::size_t place) {
  if (std::ranges::any_of(calls_, [&](const Call& call) { return same(call, piece); })) return nullptr;
  Call* call = form == CallForm::pieces     ? continued_by(piece)
               : form == CallForm::repeated ? repeated_by(piece, place)
                                            : nullptr;
  if (call != nullptr && form == CallForm::repeated) {
    if (!piece.arguments.starts_with(call->arguments)) return nullptr;
    piece.arguments.erase(0, call->arguments.size());
  }
  if (call != nullptr) return call;
  if (piece.id.empty() && piece.name.empty() && blank(piece.arguments)) return nullptr;
  if (calls_.size() >= protocol::most_tool_calls) {
    return unknown_shape("more than " + std::to_string(protocol::most_tool_calls) + " tool calls");
  }
  call = &calls_.emplace_back();
  call->index = piece.index;
  bytes_ += sizeof(Call);
  return call;
}

Status ToolCalls::add(std::string_view piece, CallForm form, std::size_t place) {
  const Members members(piece);
  const auto type = members.text("type");
  if (!members.is_object() || (!type.empty() && type != "function")) {
    return unknown_shape(type.empty() ? "a tool call that is no object" : "a tool call of type `" + type + "`");
  }
  const bool flat = !members.has("function");  // {"name","arguments"} without the member `function`
  if (!flat && !is_object(members.at("function"))) return unknown_shape("a tool call whose `function` is no object");
  const Members function = flat ? members : members.object("function");
  Piece read{members.count("index"), members.text("id"), function.text("name"), arguments_in(function.at("arguments"))};
  const auto known = calls_.size();
  const auto found = call_of(read, form, place);
  if (!found) return found.error();
  Call* const call = *found;
  if (call == nullptr) return success();
  if (!read.id.empty() && call->id.empty()) call->id = read.id;
  call->name = call->name.empty() ? read.name : longer_name(*call, read).value_or(call->name);
  call->arguments += read.arguments;
  call->end.add(read.arguments);
  call->has_arguments = call->has_arguments || !blank(read.arguments);
  bytes_ += read.id.size() + read.name.size() + read.arguments.size();
  const auto before = call->more.bytes() + call->more_function.bytes();
  if (form != CallForm::repeated ||
      calls_.size() > known) {  // lists of one that was there would have each element twice
    keep_unknown(members, known_of_call, call->more);
    if (!flat) keep_unknown(function, known_of_function, call->more_function);
  }
  bytes_ += call->more.bytes() + call->more_function.bytes() - before;
  return success();
}

bool ToolCalls::named() const {
  return std::none_of(calls_.begin(), calls_.end(), [](const Call& call) { return call.name.empty(); });
}

std::string ToolCalls::written(const Call& call, std::string_view arguments) {
  std::string out;
  {
    json::ObjectWriter writer(out);
    writer.string("id", call.settled_id);
    writer.string("type", "function");
    {
      json::ObjectWriter function(writer.key("function"));
      function.string("name", call.name);
      function.string("arguments", arguments);
      call.more_function.write(function);
    }
    call.more.write(writer);
  }
  return out;
}

void ToolCalls::settle_id(Call& call) {
  call.settled_id = call.id;
  while (call.settled_id.empty() || !context_.taken_ids.insert(call.settled_id).second) {
    call.settled_id = context_.id_prefix + "_" + std::to_string(made_ids_++);
  }
}

void ToolCalls::tell_arguments(std::size_t index, Call& call,
                               const std::function<void(const protocol::CallLine&)>& on_line) {
  if (!call.has_arguments) return;
  for (std::string_view rest = std::string_view(call.arguments).substr(call.told); !rest.empty();) {
    const auto next = cut_front(rest, most_told_at_once);
    on_line({index, {}, std::string(next)});
    rest.remove_prefix(next.size());
  }
  call.told = call.arguments.size();
}

void ToolCalls::tell(const std::function<void(const protocol::CallLine&)>& on_line) {
  for (Call& call : calls_) {
    if (!call.name.empty() && call.settled_id.empty()) settle_id(call);
  }
  std::size_t index = 0;
  for (Call& call : calls_) {
    if (call.name.empty()) return;  // calls are told in their order
    if (may_go_on(call) && within_reach(call)) return;  // the rest comes with its arguments or the result
    if (!std::exchange(call.begun, true)) on_line({index, written(call, ""), {}});
    tell_arguments(index++, call, on_line);
  }
}

std::string ToolCalls::list() const {
  std::string out;
  {
    json::ArrayWriter list(out);
    for (const Call& call : calls_) list.next() += written(call, call.has_arguments ? call.arguments : "{}");
  }
  return out;
}

}  // namespace edgefleet::agent::llm
