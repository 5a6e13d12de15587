// Any text as a topic; a parsed topic is rebuilt identically.
#include "common/protocol/topics.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const protocol::Topics topics(*FleetName::parse("home"));
  const auto text = text_of(data, size);
  const auto topic = topics.parse(text);
  if (!topic) return 0;
  const auto built = topics.build(*topic);
  if (topic->kind == protocol::TopicKind::reply) {  // the client chooses the part after its name
    require(text.substr(0, built.size() - 1) == std::string_view(built).substr(0, built.size() - 1),
            "a reply's topic lies below its client's");
  } else {
    require(built == text, "a parsed topic is rebuilt identically");
  }
  return 0;
}
