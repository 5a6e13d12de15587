#include "common/protocol/schema.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "common/core/joined.hpp"
#include "common/core/nearest.hpp"
#include "common/core/trimmed.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/decimal.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::protocol {
namespace {

constexpr std::array<std::string_view, 7> type_names{"null",   "boolean", "integer", "number",
                                                     "string", "array",   "object"};
constexpr std::size_t most_values = 256;  // of an enum: a long array is compared with all of them
constexpr std::size_t most_shown = 100;  // bytes of a value in a message

std::string shown(std::string_view value) {
  const auto text = trimmed(value);
  const auto cut = cut_front(text, most_shown);
  return std::string(cut) + (cut.size() < text.size() ? "..." : "");
}

bool is_a(std::string_view type, std::string_view value) {
  const char first = value.front();
  if (type == "null") return value == "null";
  if (type == "boolean") return value == "true" || value == "false";
  if (type == "string") return first == '"';
  if (type == "array") return first == '[';
  if (type == "object") return first == '{';
  const auto number = json::Decimal::read(value);
  return number && (type == "number" || number->whole());
}

// The same text for equal values: neither spaces, escapes, the order of members nor the form of a number matter. What
// cannot be taken apart equals only itself.
std::string canonical(std::string_view value) {
  if (const auto number = json::Decimal::read(value)) return number->canonical();
  if (const auto string = json::as_string(value)) return json::quoted(*string);
  if (const auto elements = json::elements(value)) {
    std::string text = "[";
    for (const auto element : *elements) text += canonical(element) + ",";
    return text + "]";
  }
  const auto object = json::Object::read(value);
  if (!object) return std::string(value);
  std::map<std::string_view, std::string_view> members;
  for (const auto& [name, member] : object->members()) members[name] = member;
  std::string text = "{";
  for (const auto& [name, member] : members) text += json::quoted(name) + canonical(member) + ",";
  return text + "}";
}

// A value that is compared many times is read once.
struct Value {
  explicit Value(std::string_view value) : text(value), form(canonical(value)) {}

  std::string text;
  std::string form;
};

struct Bound {
  json::Decimal value;
  std::string text;
};

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !utf8_continuation(c); }));
}

}  // namespace

struct Schema::Node {
  std::vector<std::string> types;  // empty: any
  std::map<std::string, Node, std::less<>> properties;
  std::vector<std::string> required;
  bool closed = false;  // no other properties
  std::shared_ptr<const Node> additional;  // null: any, unless closed
  std::shared_ptr<const Node> items;
  std::vector<Value> values;  // enum; empty: any
  std::optional<Bound> minimum;
  std::optional<Bound> maximum;
  std::optional<std::uint64_t> least_characters;
  std::optional<std::uint64_t> most_characters;
};

// Reads one schema after the other; the first error ends it.
class Schema::Compiler {
 public:
  Result<Node> compile(std::string_view text, const std::string& at) {
    Node node;
    if (trimmed(text) == "true") return node;  // anything
    const auto object = json::Object::read(text);
    if (!object) return Error{at + " is not an object", ErrorKind::invalid};
    for (const auto& [keyword, value] : object->members()) {
      if (auto good = take(node, keyword, value, at); !good) return good.error();
    }
    return node;
  }

 private:
  Status take(Node& node, const std::string& keyword, std::string_view value, const std::string& at) {
    using Taker = Status (Compiler::*)(Node&, std::string_view, const std::string&);
    static const std::map<std::string_view, Taker> takers{{"type", &Compiler::take_type},
                                                          {"properties", &Compiler::take_properties},
                                                          {"required", &Compiler::take_required},
                                                          {"additionalProperties", &Compiler::take_additional},
                                                          {"items", &Compiler::take_items},
                                                          {"enum", &Compiler::take_enum},
                                                          {"minimum", &Compiler::take_minimum},
                                                          {"maximum", &Compiler::take_maximum},
                                                          {"minLength", &Compiler::take_least_length},
                                                          {"maxLength", &Compiler::take_most_length}};
    const auto taker = takers.find(keyword);
    return taker == takers.end() ? success() : (this->*taker->second)(node, value, at + "." + keyword);
  }

  static Error bad(const std::string& at, const std::string& what) {
    return {at + " is not " + what, ErrorKind::invalid};
  }

  Status take_type(Node& node, std::string_view value, const std::string& at) {
    const auto one = json::as_string(value);
    const auto several = json::elements(value);
    if (one) node.types.push_back(*one);
    for (const auto element : several.value_or(std::vector<std::string_view>{})) {
      node.types.push_back(json::as_string(element).value_or(""));
    }
    const bool known = std::all_of(node.types.begin(), node.types.end(), [](const auto& type) {
      return std::find(type_names.begin(), type_names.end(), type) != type_names.end();
    });
    return known && !node.types.empty() ? success() : Status(bad(at, "a type, or an array of types"));
  }

  Status take_properties(Node& node, std::string_view value, const std::string& at) {
    const auto object = json::Object::read(value);
    if (!object) return bad(at, "an object");
    for (const auto& [name, schema] : object->members()) {
      auto property = compile(schema, at + "." + std::string(cut_front(name, 64)));
      if (!property) return property.error();
      node.properties[name] = std::move(*property);
    }
    return success();
  }

  Status take_required(Node& node, std::string_view value, const std::string& at) {
    const auto elements = json::elements(value);
    if (!elements) return bad(at, "an array of names");
    for (const auto element : *elements) {
      const auto name = json::as_string(element);
      if (!name) return bad(at, "an array of names");
      node.required.push_back(*name);
    }
    return success();
  }

  Status take_additional(Node& node, std::string_view value, const std::string& at) {
    if (const auto flag = json::as_bool(value)) {
      node.closed = !*flag;
      return success();
    }
    return take_schema(node.additional, value, at);
  }
  Status take_items(Node& node, std::string_view value, const std::string& at) {
    return take_schema(node.items, value, at);
  }
  Status take_schema(std::shared_ptr<const Node>& into, std::string_view value, const std::string& at) {
    auto schema = compile(value, at);
    if (!schema) return schema.error();
    into = std::make_shared<const Node>(std::move(*schema));
    return success();
  }

  Status take_enum(Node& node, std::string_view value, const std::string& at) {
    const auto elements = json::elements(value);
    if (!elements || elements->empty() || elements->size() > most_values) {
      return bad(at, "an array of 1 to " + std::to_string(most_values) + " values");
    }
    for (const auto element : *elements) node.values.emplace_back(trimmed(element));
    return success();
  }

  Status take_minimum(Node& node, std::string_view value, const std::string& at) {
    return take_number(node.minimum, value, at);
  }
  Status take_maximum(Node& node, std::string_view value, const std::string& at) {
    return take_number(node.maximum, value, at);
  }
  static Status take_number(std::optional<Bound>& into, std::string_view value, const std::string& at) {
    auto number = json::Decimal::read(value);
    if (!number) return bad(at, "a number");
    into = Bound{std::move(*number), shown(value)};
    return success();
  }

  Status take_least_length(Node& node, std::string_view value, const std::string& at) {
    return take_length(node.least_characters, value, at);
  }
  Status take_most_length(Node& node, std::string_view value, const std::string& at) {
    return take_length(node.most_characters, value, at);
  }
  static Status take_length(std::optional<std::uint64_t>& into, std::string_view value, const std::string& at) {
    into = json::as_unsigned(value);
    return into ? success() : Status(bad(at, "a length"));
  }
};

// `at` is the place in the input: "input.image.width".
class Schema::Checker {
 public:
  static Status check(const Node& node, std::string_view value, const std::string& at) {
    for (const auto rule : {check_type, check_values, check_number, check_string, check_object, check_array}) {
      if (auto good = rule(node, value, at); !good) return good;
    }
    return success();
  }

 private:
  static Error wrong(const std::string& at, const std::string& what) {
    return {"`" + at + "` " + what, ErrorKind::invalid};
  }

  static Status check_type(const Node& node, std::string_view value, const std::string& at) {
    const bool fits = node.types.empty() || std::any_of(node.types.begin(), node.types.end(),
                                                        [&](const auto& type) { return is_a(type, value); });
    return fits ? success()
                : Status(wrong(at, "is " + shown(value) + "; it must be of type " + joined(node.types, " or ")));
  }

  static Status check_values(const Node& node, std::string_view value, const std::string& at) {
    if (node.values.empty()) return success();
    const Value own(value);
    std::vector<std::string> all;
    for (const Value& one : node.values) {
      if (one.form == own.form) return success();
      all.push_back(one.text);
    }
    return wrong(at, "is " + shown(value) + "; it must be one of " + shown(joined(all, ", ")));
  }

  static Status check_number(const Node& node, std::string_view value, const std::string& at) {
    if (!node.minimum && !node.maximum) return success();
    const auto number = json::Decimal::read(value);
    if (!number) return success();
    if (node.minimum && *number < node.minimum->value) {
      return wrong(at, "is " + shown(value) + "; the minimum is " + node.minimum->text);
    }
    if (node.maximum && *number > node.maximum->value) {
      return wrong(at, "is " + shown(value) + "; the maximum is " + node.maximum->text);
    }
    return success();
  }

  static Status check_string(const Node& node, std::string_view value, const std::string& at) {
    if (!is_a("string", value) || (!node.least_characters && !node.most_characters)) return success();
    const auto length = characters(json::as_string(value).value_or(""));
    if (node.least_characters && length < *node.least_characters) {
      return wrong(at, "has " + std::to_string(length) + " characters; the minimum is " +
                           std::to_string(*node.least_characters));
    }
    if (node.most_characters && length > *node.most_characters) {
      return wrong(
          at, "has " + std::to_string(length) + " characters; the maximum is " + std::to_string(*node.most_characters));
    }
    return success();
  }

  static Status check_object(const Node& node, std::string_view value, const std::string& at) {
    const bool free = node.properties.empty() && node.required.empty() && !node.closed && !node.additional;
    if (!is_a("object", value) || free) return success();
    const auto object = json::Object::read(value);
    if (!object) return wrong(at, "has too many members");
    for (const auto& name : node.required) {
      if (!object->find(name)) return wrong(at + "." + name, "is missing");
    }
    for (const auto& [name, member] : object->members()) {
      if (auto good = check_member(node, name, trimmed(member), at); !good) return good;
    }
    return success();
  }

  static Status check_member(const Node& node, const std::string& name, std::string_view value, const std::string& at) {
    const std::string place = at + "." + std::string(cut_front(name, 64));
    if (const auto known = node.properties.find(name); known != node.properties.end()) {
      return check(known->second, value, place);
    }
    if (node.additional) return check(*node.additional, value, place);
    if (!node.closed) return success();
    std::vector<std::string> names;
    for (const auto& [property, schema] : node.properties) names.push_back(property);
    const auto near = nearest(name, names);
    const auto all = names.empty() ? "; there are none" : "; there are " + shown(joined(names, ", "));
    return wrong(place, "is not a parameter" + (near ? "; did you mean `" + *near + "`?" : all));
  }

  static Status check_array(const Node& node, std::string_view value, const std::string& at) {
    if (!is_a("array", value) || !node.items) return success();
    const auto elements = json::elements(value);
    if (!elements) return wrong(at, "has too many elements");
    for (std::size_t i = 0; i < elements->size(); ++i) {
      if (auto good = check(*node.items, trimmed((*elements)[i]), at + "[" + std::to_string(i) + "]"); !good)
        return good;
    }
    return success();
  }
};

Result<Schema> Schema::compile(std::string_view text) {
  if (text.size() > most_schema_bytes) {
    return Error{
        "it has " + std::to_string(text.size()) + " bytes; the maximum is " + std::to_string(most_schema_bytes),
        ErrorKind::invalid};
  }
  if (!json::well_formed(text)) return Error{"it is not JSON", ErrorKind::invalid};
  auto root = Compiler().compile(text, "schema");
  if (!root) return root.error();
  return Schema(std::make_shared<const Node>(std::move(*root)));
}

Status Schema::check(std::string_view input) const {
  const auto value = trimmed(input);
  if (value.empty()) return Error{"the input is empty", ErrorKind::invalid};
  const auto& types = root_->types;
  const bool omitted = value == "null" && std::find(types.begin(), types.end(), "object") != types.end() &&
                       std::find(types.begin(), types.end(), "null") == types.end();
  return Checker::check(*root_, omitted ? std::string_view("{}") : value, "input");
}

}  // namespace edgefleet::protocol
