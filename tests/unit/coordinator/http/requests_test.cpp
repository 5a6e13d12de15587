#include "coordinator/http/requests.hpp"

#include <map>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

Status any_task(const TaskSpec&) { return success(); }

std::string batch_with(std::size_t tasks, const std::string& task = R"({"capability":"work"})") {
  std::string body = R"({"tasks":[)";
  for (std::size_t i = 0; i < tasks; ++i) body += (i > 0 ? "," : "") + task;
  return body + "]}";
}

Query query_of(const std::map<std::string, std::string>& parameters) {
  return [parameters](const std::string& name) {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::nullopt : std::optional(found->second);
  };
}

// The message names the field.
void check_refused(const std::string& name, const std::string& value) {
  CAPTURE(name, value);
  const auto refused = read_task_query(query_of({{name, value}}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::invalid);
  CHECK(refused.error().message.find('`' + name + '`') != std::string::npos);
}

}  // namespace

TEST_CASE("a batch is read with its key and with its tasks in their order") {
  const auto batch =
      read_batch(R"({"idempotency_key":"k","tasks":[{"capability":"a","input":[1]},{"capability":"b","priority":3}]})",
                 limits::input_bytes, any_task);
  REQUIRE(batch);
  CHECK(batch->idempotency_key == "k");
  CHECK(batch->wrong.empty());
  REQUIRE(batch->tasks.size() == 2);
  CHECK(batch->tasks[0].spec.capability.str() == "a");
  CHECK(batch->tasks[0].spec.input == "[1]");
  CHECK(batch->tasks[1].spec.capability.str() == "b");
  CHECK(batch->tasks[1].spec.priority == 3);
}

TEST_CASE("a batch that is not an object with a list of tasks is refused") {
  for (const char* body : {"", "{", "[]", "7", "{}", R"({"tasks":null})", R"({"tasks":{}})", R"({"tasks":[]})",
                           R"({"tasks":[{"capability":"a"}],"idempotency_key":7})", "{\"tasks\":[\"\xff\"]}"}) {
    CAPTURE(body);
    const auto refused = read_batch(body, limits::input_bytes, any_task);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("the key of a batch has at most 200 bytes") {
  const auto with_key = [](std::size_t bytes) {
    return read_batch(R"({"tasks":[{"capability":"a"}],"idempotency_key":")" + std::string(bytes, 'k') + R"("})",
                      limits::input_bytes, any_task);
  };
  CHECK(with_key(200));
  CHECK_FALSE(with_key(201));
}

TEST_CASE("a batch has at most as many tasks as the limit says") {
  CHECK(read_batch(batch_with(limits::batch_tasks), limits::input_bytes, any_task)->tasks.size() ==
        limits::batch_tasks);
  const auto refused = read_batch(batch_with(limits::batch_tasks + 1), limits::input_bytes, any_task);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::too_large);
  CHECK(refused.error().message.find(std::to_string(limits::batch_tasks + 1)) != std::string::npos);
}

TEST_CASE("each invalid task of a batch is reported with its index and its reason") {
  const auto check = [](const TaskSpec& spec) {
    return spec.capability.str() == "forbidden" ? Status(invalid("not here")) : success();
  };
  const auto batch = read_batch(R"({"tasks":[{"capability":"a"},{"capability":"A!"},{},{"capability":"forbidden"},
                                             {"capability":"a","idempotency_key":"k"},5,{"capability":"a"}]})",
                                limits::input_bytes, check);
  REQUIRE(batch);
  CHECK(batch->tasks.size() == 2);
  REQUIRE(batch->wrong.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(batch->wrong[i].first == i + 1);
  CHECK(batch->wrong[0].second.message.find("capability") != std::string::npos);
  CHECK(batch->wrong[1].second.message.find("capability") != std::string::npos);
  CHECK(batch->wrong[2].second.message == "not here");
  CHECK(batch->wrong[3].second.message.find("idempotency_key") != std::string::npos);
  for (const auto& [index, error] : batch->wrong) CHECK(error.kind == ErrorKind::invalid);
  const auto large = read_batch(R"({"tasks":[{"capability":"a","input":"12345"}]})", 3, check);
  REQUIRE(large);
  CHECK(large->wrong.at(0).second.kind == ErrorKind::too_large);
  CHECK(read_batch(R"({"tasks":[{"capability":"a"}],"idempotency_key":""})", 3, check).error().message ==
        "the batch: `idempotency_key` is empty; to submit without a key, omit it");
}

TEST_CASE("at most 100 invalid tasks are reported") {
  CHECK(read_batch(batch_with(150, "{}"), limits::input_bytes, any_task)->wrong.size() == 100);
}

TEST_CASE("a list of tasks is filtered by the parameters of the query string, which are all optional") {
  const auto all = read_task_query(query_of({}));
  REQUIRE(all);
  CHECK_FALSE((all->state || all->capability || all->batch || all->before));
  CHECK(all->limit == TaskQuery{}.limit);
  const std::string task = Ulid{5, 1}.str();
  const std::string batch = Ulid{4, 2}.str();
  const auto query = read_task_query(query_of(
      {{"state", "failed"}, {"capability", "image.blur"}, {"batch", batch}, {"after", task}, {"limit", "1000"}}));
  REQUIRE(query);
  CHECK(query->state == TaskState::failed);
  CHECK(query->capability == Capability::parse("image.blur"));
  CHECK(query->batch == BatchId{Ulid{4, 2}});
  CHECK(query->before == TaskId{Ulid{5, 1}});
  CHECK(query->limit == 1000);
}

TEST_CASE("an invalid parameter of a list is refused, with its name") {
  for (const char* state : {"", "Failed", "done"}) check_refused("state", state);
  for (const char* capability : {"", "A", "a..b"}) check_refused("capability", capability);
  for (const char* id : {"", "7", "../../etc/passwd"}) {
    check_refused("batch", id);
    check_refused("after", id);
  }
  for (const char* limit : {"", "0", "-1", "1001", "1.5", "ten", "99999999999999999999"}) check_refused("limit", limit);
}

TEST_CASE("a wait is a number of seconds, cut to the longest one") {
  const auto wait = [](const std::string& text) { return read_wait(query_of({{"wait", text}})); };
  CHECK(*read_wait(query_of({})) == 0.0);
  CHECK(*wait("0") == 0.0);
  CHECK(*wait("2.5") == 2.5);
  CHECK(*wait("60") == longest_wait);
  CHECK(*wait("1e9") == longest_wait);
  for (const char* text : {"", "-1", "soon", "nan", "inf", "1e999", "5s"}) {
    CAPTURE(text);
    REQUIRE_FALSE(wait(text));
    CHECK(wait(text).error().kind == ErrorKind::invalid);
  }
}
