#include "common/mqtt/reach.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/http_stub.hpp"

using namespace edgefleet;
using namespace std::chrono_literals;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the reason why a broker cannot be used tells a name, a port without a server, and another server apart") {
  CHECK(has(mqtt::why_unusable("mqtt://no-such-host.invalid:1883", {}, 1s), "no-such-host.invalid"));
  CHECK(has(mqtt::why_unusable("mqtt://127.0.0.1:1/", {}, 1s), "refused"));
  CHECK((has(mqtt::why_unusable("mqtt://[::1]:1", {}, 1s), "refused") ||
         has(mqtt::why_unusable("mqtt://[::1]:1", {}, 1s), "cannot")));
  const test::HttpStub http({test::HttpStub::answer("200 OK", "{}")});
  CHECK(has(mqtt::why_unusable("mqtt" + http.url().substr(4), {}, 1s), "accepts no MQTT 5"));
}
