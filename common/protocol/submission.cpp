#include "common/protocol/submission.hpp"

#include "common/core/where.hpp"
#include "common/protocol/fields.hpp"

namespace edgefleet::protocol {

namespace {

Result<Submission> decode(json::Fields fields) {
  if (!fields.ok()) return Error{"a task " + fields.error().message, ErrorKind::invalid};

  static const std::vector<std::string> names = {
      "capability", "input",        "name",  "priority",        "timeout_ms", "expires_after_ms",
      "delay_ms",   "max_attempts", "where", "idempotency_key", "answer"};
  fields.allow(names);
  Submission submission;
  TaskSpec& spec = submission.spec;
  fields.require("capability");
  spec.capability = fields.name<Capability>("capability", capability_rule).value_or(Capability{});
  spec.input = std::string(fields.object().find("input").value_or("null"));
  if (spec.input.size() > limits::input_bytes) {
    return Error{"`input` has " + std::to_string(spec.input.size()) + " bytes; the maximum is " +
                     std::to_string(limits::input_bytes) +
                     "; upload larger data with PUT /api/v1/artifacts and name the artifact in the input",
                 ErrorKind::too_large};
  }
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
  submission.idempotency_key = fields.string("idempotency_key", 200).value_or("");
  const auto answer = fields.string("answer").value_or("outcome");
  if (answer != "outcome" && answer != "accepted") fields.fail("`answer` is neither outcome nor accepted");
  submission.answer_accepted = answer == "accepted";
  if (!fields.ok()) return fields.error();
  return submission;
}

}  // namespace

Result<Submission> decode_submission(std::string_view text) { return decode(json::Fields::untrusted(text)); }

Result<Submission> decode_submission_part(std::string_view text) { return decode(json::Fields(text)); }

}  // namespace edgefleet::protocol
