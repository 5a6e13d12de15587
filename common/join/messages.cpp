#include "common/join/messages.hpp"

#include <cctype>

#include "common/files/text_digest.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::join {
namespace {

using json::Fields;

constexpr std::size_t longest_pem = 16UL << 10U;
constexpr std::size_t longest_word = 256;

// A member that must be there and not be empty.
std::string needed(Fields& fields, std::string_view name, std::size_t most = longest_word) {
  if (!fields.require(name)) return {};
  auto text = fields.string(name, most).value_or("");
  if (text.empty()) fields.fail("`" + std::string(name) + "` is empty");
  return text;
}

std::string digits(Fields& fields, std::string_view name) {
  auto text = needed(fields, name);
  if (text.size() != 64 || text.find_first_not_of("0123456789abcdef") != std::string::npos) {
    fields.fail("`" + std::string(name) + "` is not 64 hexadecimal digits");
  }
  return text;
}

Machine read_machine(Fields& fields) {
  Machine machine;
  machine.name = needed(fields, "name");
  machine.named = fields.boolean("named").value_or(false);
  machine.id = fields.string("machine", longest_word).value_or("");
  return machine;
}

void write(json::ObjectWriter& object, const Machine& machine) {
  object.string("name", machine.name);
  object.boolean("named", machine.named);
  if (!machine.id.empty()) object.string("machine", machine.id);
}

template <typename Message>
Result<Message> finished(const Fields& fields, Message message) {
  if (!fields.ok()) return fields.error();
  return message;
}

// One text of which the parts cannot be taken for one another: none of them has a line end.
std::string lines(std::initializer_list<std::string> parts) {
  std::string text;
  for (const auto& part : parts) text += part + '\n';
  return text;
}

constexpr std::string_view code_letters = "abcdefghijkmnpqrstuvwxyz23456789";  // none that looks like another
static_assert(code_letters.size() == 32);
constexpr std::size_t code_length = 8;

}  // namespace

std::string encode(const WithToken& message) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("secret", message.secret);
    object.string("request", message.request);
    write(object, message.machine);
  }
  return body;
}

Result<WithToken> decode_with_token(std::string_view body) {
  auto fields = Fields::untrusted(body);
  fields.allow({"secret", "request", "name", "named", "machine"});
  WithToken message;
  message.secret = needed(fields, "secret");
  message.request = needed(fields, "request", longest_pem);
  message.machine = read_machine(fields);
  return finished(fields, std::move(message));
}

std::string encode(const Commitment& message) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("commitment", message.commitment);
    write(object, message.machine);
  }
  return body;
}

Result<Commitment> decode_commitment(std::string_view body) {
  auto fields = Fields::untrusted(body);
  fields.allow({"commitment", "name", "named", "machine"});
  Commitment message;
  message.commitment = digits(fields, "commitment");
  message.machine = read_machine(fields);
  return finished(fields, std::move(message));
}

std::string encode(const Challenge& message) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("id", message.id);
    object.string("nonce", message.nonce);
    object.string("ca", message.ca);
  }
  return body;
}

Result<Challenge> decode_challenge(std::string_view body) {
  auto fields = Fields::untrusted(body);
  Challenge message;
  message.id = needed(fields, "id");
  message.nonce = digits(fields, "nonce");
  message.ca = needed(fields, "ca", longest_pem);
  if (message.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") != std::string::npos) {
    fields.fail("`id` is not one of letters and digits");
  }
  return finished(fields, std::move(message));
}

std::string encode(const Opening& message) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("nonce", message.nonce);
    object.string("request", message.request);
  }
  return body;
}

Result<Opening> decode_opening(std::string_view body) {
  auto fields = Fields::untrusted(body);
  fields.allow({"nonce", "request"});
  Opening message;
  message.nonce = digits(fields, "nonce");
  message.request = needed(fields, "request", longest_pem);
  return finished(fields, std::move(message));
}

std::string encode(const Renewal& message) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("request", message.request);
  }
  return body;
}

Result<Renewal> decode_renewal(std::string_view body) {
  auto fields = Fields::untrusted(body);
  fields.allow({"request"});
  return finished(fields, Renewal{needed(fields, "request", longest_pem)});
}

std::string encode(const Joined& message) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("name", message.name);
    object.string("fleet", message.fleet);
    object.string("certificate", message.certificate);
    object.string("ca", message.ca);
    object.string("broker", message.broker);
    object.string("coordinator", message.coordinator);
    object.integer("certificate_life_s", message.certificate_life);
    if (message.ephemeral) object.boolean("ephemeral", true);
  }
  return body;
}

Result<Joined> decode_joined(std::string_view body) {
  auto fields = Fields::untrusted(body);
  Joined message;
  message.name = needed(fields, "name");
  message.fleet = needed(fields, "fleet");
  message.certificate = needed(fields, "certificate", longest_pem);
  message.ca = needed(fields, "ca", longest_pem);
  message.broker = needed(fields, "broker", 512);
  message.coordinator = needed(fields, "coordinator", 512);
  constexpr std::int64_t longest_life = 100LL * 365 * 86'400;
  message.certificate_life = fields.integer("certificate_life_s", 1, longest_life).value_or(message.certificate_life);
  message.ephemeral = fields.boolean("ephemeral").value_or(false);
  return finished(fields, std::move(message));
}

std::string commitment_of(const std::string& key_sha256, const std::string& machine_nonce) {
  return sha256(lines({"edgefleet join 1: commitment", key_sha256, machine_nonce}));
}

std::string code_of(const std::string& ca_sha256, const std::string& key_sha256, const std::string& machine_nonce,
                    const std::string& coordinator_nonce) {
  const std::string digest =
      sha256(lines({"edgefleet join 1: code", ca_sha256, key_sha256, machine_nonce, coordinator_nonce}));
  std::uint64_t bits = std::stoull(digest.substr(0, 10), nullptr, 16);  // 40
  std::string code;
  for (std::size_t i = 0; i < code_length; ++i) {
    code += code_letters[bits & 31U];
    bits >>= 5U;
  }
  return code.substr(0, 4) + '-' + code.substr(4);
}

std::string normal_code(std::string_view typed) {
  std::string code;
  for (const char c : typed) {
    const char small = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (c == '-' || c == ' ') continue;
    if (code_letters.find(small) == std::string_view::npos || code.size() >= code_length) return {};
    code += small;
  }
  return code.size() == code_length ? code.substr(0, 4) + '-' + code.substr(4) : std::string();
}

}  // namespace edgefleet::join
