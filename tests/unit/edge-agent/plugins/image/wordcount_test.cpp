// The example is documentation, so it must work.
#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/plugins/image/plugin_process.hpp"

using edgefleet::image::test::PluginProcess;
using nlohmann::json;

TEST_CASE("the example in Python counts words, refuses other input, and continues") {
  PluginProcess plugin({WORDCOUNT_PLUGIN});
  const json hello = plugin.next();
  CHECK(hello["capabilities"] == json{"text.wordcount"});
  CHECK(hello["parameters"]["text.wordcount"]["required"] == json::array({"text"}));
  const auto ask = [&](const json& input) {
    plugin.send({{"type", "task"}, {"id", "a"}, {"attempt", 1}, {"capability", "text.wordcount"}, {"input", input}});
    return plugin.next();
  };
  CHECK(ask({{"text", "zwei Wörter\n"}})["output"] == json{{"lines", 1}, {"words", 2}, {"characters", 12}});
  CHECK(ask({{"text", 7}})["error"]["code"] == "bad_input");
  CHECK(ask(json::array())["error"]["retryable"] == false);
  plugin.send({{"type", "cancel"}, {"id", "a"}, {"attempt", 1}});
  CHECK(ask({{"text", ""}})["output"]["words"] == 0);
  plugin.close_stdin();
  CHECK(plugin.wait_for_exit() == 0);
}
