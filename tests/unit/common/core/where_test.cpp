#include "common/core/where.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

namespace {

bool has(const Error& error, const std::string& text) { return error.message.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("a condition on a size is a number, and may begin with an operator") {
  struct Case {
    const char* text;
    bool of_1, of_2, of_3;
  };
  for (const Case& one : {Case{"2", false, true, false}, Case{">=2", false, true, true}, Case{">2", false, false, true},
                          Case{"<=2", true, true, false}, Case{"<2", true, false, false}}) {
    CAPTURE(one.text);
    const auto condition = parse_size_condition(one.text);
    REQUIRE(condition);
    CHECK(meets(*condition, 1) == one.of_1);
    CHECK(meets(*condition, 2) == one.of_2);
    CHECK(meets(*condition, 3) == one.of_3);
  }
  for (const char* text : {"", ">=", "4GB", ">= 4", "-1", "1.5", "=2", "!=2", "99999999999999999999", ">>2"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size_condition(text));
  }
}

TEST_CASE("labels of any alphabet compare for equality") {
  CHECK(check_where({{"room", "attic"},
                     {"habitaci\xC3\xB3n", "x"},
                     {"example.org/rack-2", ""},
                     {"agent", "pi-1"},
                     {"model", "a:b"},
                     {"note", "a>=b"}}));
}

TEST_CASE("an unknown operator, or a size that is no number, is refused with what can be asked for") {
  for (const auto& [key, value] : Where{{"memory>", "4GB"}, {"a b", "c"}, {"", "x"}, {"a\"b", "x"}, {"x\n", "y"}}) {
    CAPTURE(key);
    const auto refused = check_where({{key, value}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
    CHECK(has(refused.error(), "a key has letters"));
  }
  CHECK(has(check_where({{"memory_mb", ">=4GB"}}).error(), "`memory_mb>=4GB`"));
  CHECK(has(check_where({{"cpus", "four"}}).error(), "whole number"));
  CHECK(has(check_where({{"cpus", ">=99999999999999999999"}}).error(), "the largest number is 18446744073709551615"));
  const auto label = check_where({{"memory-mb", ">=4000"}});
  CHECK(has(label.error(), "compared with = only"));
  CHECK(has(label.error(), "did you mean `memory_mb`?"));
  CHECK_FALSE(check_where({{"room", "!=attic"}}));
}

TEST_CASE("an input in a file needs an agent that takes its size, in whole MiB") {
  TaskSpec spec;
  spec.where = {{"room", "attic"}};
  CHECK(conditions_of(spec) == spec.where);
  const auto with = [&](std::uint64_t bytes) {
    spec.input_at = TextFile{"sha256-", bytes, {}};
    return conditions_of(spec).at("max_task_mb");
  };
  CHECK(with(1) == ">=1");
  CHECK(with(1024 * 1024) == ">=1");
  CHECK(with(1024 * 1024 + 1) == ">=2");
  CHECK(conditions_of(spec).at("room") == "attic");
  CHECK(has(check_where({{"max_task_mb", ">=1"}}).error(), "cannot be set"));
  CHECK_FALSE(has(check_where({{"max-task-mb", ">=1"}}).error(), "did you mean"));
}

TEST_CASE("a condition of a command line is split at its operator") {
  using Pair = Where::value_type;
  CHECK(*parse_condition("room=attic") == Pair{"room", "attic"});
  CHECK(*parse_condition("note=a=b") == Pair{"note", "a=b"});
  CHECK(*parse_condition("empty=") == Pair{"empty", ""});
  CHECK(*parse_condition("memory_mb>=4000") == Pair{"memory_mb", ">=4000"});
  CHECK(*parse_condition("memory_mb >= 4000") == Pair{"memory_mb", ">=4000"});
  CHECK(*parse_condition("cpus<4") == Pair{"cpus", "<4"});
  CHECK(*parse_condition("cpus=4") == Pair{"cpus", "4"});
  for (const char* text : {"room", "=x", "", " =x", ">=4", "memory>=4GB", "room!=attic", "cpus==4", "cpus=4.5"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_condition(text));
  }
  for (const char* text : {"room=attic", "memory_mb>=4000", "cpus=4", "gpu_memory_mb<1"}) {
    const auto one = parse_condition(text);
    CHECK(show_condition(one->first, one->second) == text);
  }
}
