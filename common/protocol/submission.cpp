#include "common/protocol/submission.hpp"

#include "common/core/where.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::protocol {

namespace {

Result<Submission> decode(json::Fields fields, std::size_t most_input_bytes) {
  if (!fields.ok()) return Error{"a task " + fields.error().message, ErrorKind::invalid};

  static const std::vector<std::string> names = {
      "capability", "input",        "name",  "priority",        "timeout_ms", "expires_after_ms",
      "delay_ms",   "max_attempts", "where", "idempotency_key", "answer"};
  fields.allow(names);
  Submission submission;
  TaskSpec& spec = submission.spec;
  fields.require("capability");
  spec.capability = fields.name<Capability>("capability", capability_rule).value_or(Capability{});
  const auto input = fields.object().find("input").value_or("null");
  if (input.size() > most_input_bytes) return too_large("`input`", input.size(), most_input_bytes);
  spec.input = std::string(input);
  if (!json::part_is_shallow(spec.input)) fields.fail("`input` is nested more than 64 levels deep");
  spec.name = fields.string("name", limits::name_bytes).value_or("");
  spec.priority = static_cast<int>(fields.integer("priority", -limits::priority, limits::priority).value_or(0));
  spec.timeout = fields.milliseconds("timeout_ms", std::chrono::milliseconds(1)).value_or(spec.timeout);
  spec.expires_after = fields.milliseconds("expires_after_ms");
  spec.delay = fields.milliseconds("delay_ms").value_or(spec.delay);
  spec.max_attempts =
      static_cast<int>(fields.integer("max_attempts", 1, limits::max_attempts).value_or(spec.max_attempts));
  spec.where = fields.string_map("where", limits::where_conditions, limits::label_bytes);
  if (const auto good = check_where(spec.where); !good) fields.fail(good.error().message);
  submission.idempotency_key = read_idempotency_key(fields);
  const auto answer = fields.string("answer").value_or("outcome");
  if (answer != "outcome" && answer != "accepted") fields.fail("`answer` is neither outcome nor accepted");
  submission.answer_accepted = answer == "accepted";
  if (!fields.ok()) return fields.error();
  return submission;
}

}  // namespace

std::string read_idempotency_key(json::Fields& fields) {
  const auto key = fields.string("idempotency_key", 200);
  if (key && key->empty()) fields.fail("`idempotency_key` is empty; to submit without a key, omit it");
  return key.value_or("");
}

Error too_large(std::string_view what, std::uint64_t bytes, std::uint64_t most) {
  return {std::string(what) + " has " + std::to_string(bytes) + " bytes; the maximum is " + std::to_string(most) +
              "; upload larger data with PUT /api/v1/artifacts and name the artifact in the input",
          ErrorKind::too_large};
}

Result<Submission> decode_submission(std::string_view text, std::size_t most_input_bytes) {
  return decode(json::Fields::untrusted(text), most_input_bytes);
}

Result<Submission> decode_submission_part(std::string_view text, std::size_t most_input_bytes) {
  return decode(json::Fields(text), most_input_bytes);
}

}  // namespace edgefleet::protocol
