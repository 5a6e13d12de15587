// Every payload on MQTT. The first byte selects its kind; a decoded value stays the same when it is encoded and decoded
// again.
#include <array>
#include <tuple>

#include "common/protocol/codec.hpp"
#include "common/protocol/json.hpp"
#include "common/protocol/schema.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;
using namespace edgefleet::protocol;

namespace {

template <typename T>
T read_again(const Result<T>& decoded) {
  require(decoded.ok(), "an encoded value can be decoded");
  return decoded.value();
}

void check_json(std::string_view text) { require(json::well_formed(text), "an encoded value is JSON"); }

void status(std::string_view payload) {
  const auto first = decode_agent_status(payload);
  if (first) require(read_again(decode_agent_status(encode(*first))) == *first, "a status stays the same");
}

void info(std::string_view payload) {
  const auto first = decode_agent_info(payload);
  if (!first) return;
  const auto again = read_again(decode_agent_info(encode(first->info)));
  require(again.info == first->info && again.bad.empty(), "an info stays the same");
}

void heartbeat(std::string_view payload) {
  auto first = decode_heartbeat(payload);
  if (!first) return;
  for (auto& held : first->held) {  // a field without meaning in this phase is not sent
    if (held.phase != HeldPhase::running) held.run = Duration{0};
    if (held.phase == HeldPhase::done) held.executor = {};
  }
  require(read_again(decode_heartbeat(encode(*first))) == *first, "a heartbeat stays the same");
}

void temperature(std::string_view payload) {
  const auto first = decode_temperature(payload);
  if (first) require(read_again(decode_temperature(encode(*first))) == *first, "a temperature stays the same");
}

void tasks(std::string_view payload) {
  const auto first = decode_tasks(payload);
  if (!first) return;
  std::size_t sent = 0;
  const auto text = encode_tasks(first->reign, first->n, first->max_output_bytes, first->tasks.good, sent);
  check_json(text);
  const auto again = read_again(decode_tasks(text));
  require(sent == first->tasks.good.size(), "all tasks of a message fit into one");
  require(again.reign == first->reign && again.n == first->n && again.tasks.good == first->tasks.good &&
              again.tasks.bad.empty(),
          "tasks stay the same");
}

void results(std::string_view payload) {
  const auto first = decode_results(payload);
  if (!first) return;
  std::size_t sent = 0;
  const auto text = encode_results(first->session, first->results.good, sent);
  check_json(text);
  const auto again = read_again(decode_results(text));
  require(sent == first->results.good.size(), "all results of a message fit into one");
  require(again.session == first->session && again.results.good == first->results.good && again.results.bad.empty(),
          "results stay the same");
}

void stream(std::string_view payload) {
  const auto first = decode_stream(payload);
  if (!first) return;
  const auto again = read_again(decode_stream(encode(*first)));
  const auto all = [](const StreamMessage& m) {
    return std::tie(m.session, m.id, m.attempt, m.at, m.delta, m.channel, m.percent);
  };
  require(all(again) == all(*first), "a piece of a stream stays the same");
}

void control(std::string_view payload) {
  const auto first = decode_control(payload);
  if (!first) return;
  std::size_t sent = 0;
  const auto again = read_again(decode_control(encode_control(first->reign, first->type, first->tasks.good, sent)));
  require(again.reign == first->reign && again.type == first->type && again.tasks.good == first->tasks.good &&
              again.tasks.bad.empty(),
          "a control message stays the same");
}

void coordinator(std::string_view payload) {
  if (const auto beat = decode_coordinator_beat(payload)) {
    require(read_again(decode_coordinator_beat(encode(*beat))) == *beat, "a beat stays the same");
  }
  const auto first = decode_coordinator_status(payload);
  if (first) require(read_again(decode_coordinator_status(encode(*first))) == *first, "a status stays the same");
}

void error(std::string_view payload) {
  const auto first = decode_error(payload);
  if (!first) return;
  std::string text;
  append_error(text, *first);
  require(read_again(decode_error(text)) == *first, "an error stays the same");
}

void parameters(std::string_view payload) {
  const auto first = decode_parameters(payload);
  if (!first) return;
  for (const auto& [digest, schema] : first->parameters.good) {
    const auto rule = Schema::compile(schema);
    if (rule) (void)rule->check(payload);  // any JSON is an input
  }
  std::size_t next = 0;
  if (first->parameters.good.empty()) return;
  const auto text = encode_parameters(first->session, first->parameters.good, next);
  require(read_again(decode_parameters(text)).parameters.good.size() == next, "descriptions stay the same");
}

constexpr std::array<void (*)(std::string_view), 11> kinds{
    status, info, heartbeat, temperature, tasks, results, stream, control, coordinator, error, parameters};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t kind = (*data - std::size_t{'0'}) % kinds.size();  // '0' and on, so that a seed can be read
  kinds.at(kind)(text_of(data + 1, size - 1));
  return 0;
}
