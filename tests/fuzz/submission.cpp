// A task as it is submitted; an accepted task is within the bounds that the core relies on.
#include "common/protocol/submission.hpp"

#include "common/protocol/json.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;

namespace {

bool lasts(Duration duration) { return duration >= Duration{0} && duration <= limits::longest; }

void check(const protocol::Submission& submission) {
  const TaskSpec& spec = submission.spec;
  require(Capability::parse(spec.capability.str()).has_value(), "a task has a capability");
  require(spec.input.size() <= limits::input_bytes && json::well_formed(spec.input),
          "an input is JSON of bounded size");
  require(json::part_is_shallow(spec.input), "an input fits into a message");
  require(spec.name.size() <= limits::name_bytes, "a name is bounded");
  require(spec.priority >= -limits::priority && spec.priority <= limits::priority, "a priority is within its range");
  require(spec.timeout > Duration{0} && lasts(spec.timeout) && lasts(spec.delay), "timeout and delay are bounded");
  require(!spec.expires_after || lasts(*spec.expires_after), "an expiry is bounded");
  require(spec.max_attempts >= 1 && spec.max_attempts <= limits::max_attempts, "attempts are bounded");
  require(spec.where.size() <= limits::where_conditions, "conditions are bounded");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = text_of(data, size);
  const auto alone = protocol::decode_submission(text);
  if (alone) check(*alone);
  if (!json::well_formed(text)) return 0;
  const auto part = protocol::decode_submission_part(text);
  require(part.ok() == alone.ok(), "a task is checked in a batch as it is alone");
  return 0;
}
