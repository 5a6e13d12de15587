#include "coordinator/shell/result_files.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const std::string missing = "sha256-" + std::string(64, 'a');
const std::string also_missing = "sha256-" + std::string(64, 'b');

struct Place {
  test::TemporaryFolder folder;
  std::unique_ptr<Artifacts> artifacts = std::move(*Artifacts::open(folder.path(), {}));
  ResultFiles files{*artifacts};
  std::string there = put("there");

  std::string put(const std::string& content) const {
    const auto upload = artifacts->upload();
    REQUIRE(upload->write(content.data(), content.size()));
    return upload->finish()->id;
  }
  auto take(std::vector<TaskResult>& results, bool counts = true) {
    return files.take_incomplete(results, [counts](const AttemptKey&) { return counts; });
  }
};

TaskResult result(std::uint64_t number, const JsonText& output, std::optional<TextFile> output_at = {}) {
  TaskResult one;
  one.id = TaskId{Ulid{1, number}};
  one.output = output;
  one.output_at = std::move(output_at);
  return one;
}

JsonText naming(const std::string& id) { return R"({"artifact":")" + id + "\"}"; }

}  // namespace

TEST_CASE("results whose files are there are taken") {
  Place place;
  std::vector results{result(1, "1"), result(2, naming(place.there)), result(3, naming("any text")),
                      result(4, "null", TextFile{place.there, 5, {place.there}})};
  const auto all = results;
  CHECK(place.take(results).empty());
  CHECK(results == all);
}

TEST_CASE("a result without its files waits until they are uploaded, and others do not") {
  Place place;
  std::vector results{result(1, naming(missing)), result(2, "2"),
                      result(3, "null", TextFile{missing, 5, {also_missing, place.there}})};
  const auto asked = place.take(results);
  REQUIRE(asked.size() == 2);
  CHECK(asked[0].id == TaskId{Ulid{1, 1}});
  CHECK(asked[0].artifacts == std::vector{missing});
  CHECK(asked[1].artifacts == std::vector{missing, also_missing});
  REQUIRE(results.size() == 1);
  CHECK(results[0].output == "2");
}

TEST_CASE("an agent is asked three times; then its result counts without the files, and without its output it fails") {
  Place place;
  for (int i = 0; i < ResultFiles::most_asked; ++i) {
    std::vector results{result(1, naming(missing)), result(2, "null", TextFile{missing, 5, {}})};
    CHECK(place.take(results).size() == 2);
    CHECK(results.empty());
  }
  std::vector results{result(1, naming(missing)), result(2, "null", TextFile{missing, 5, {}})};
  CHECK(place.take(results).empty());
  REQUIRE(results.size() == 2);
  CHECK(results[0].status == ResultStatus::succeeded);
  CHECK(results[1].status == ResultStatus::failed);
  CHECK(results[1].error->code == "output_missing");
  CHECK(results[1].error->retryable);
  CHECK_FALSE(results[1].output_at);
}

TEST_CASE("an output whose file has another size than promised is no success") {
  Place place;
  std::vector results{result(1, "null", TextFile{place.there, 6, {}}), result(2, "null", TextFile{place.there, 5, {}})};
  CHECK(place.take(results).empty());
  REQUIRE(results.size() == 2);
  CHECK(results[0].error->code == "output_missing");
  CHECK(results[1].status == ResultStatus::succeeded);
}

TEST_CASE("the error of a failed task stays, also without its output") {
  Place place;
  TaskResult failed = result(1, "null", TextFile{missing, 5, {}});
  failed.status = ResultStatus::failed;
  failed.error = TaskError{"exit_status", "exit code 1", false, {}};
  for (int i = 0; i <= ResultFiles::most_asked; ++i) {
    std::vector results{failed};
    place.take(results);
    if (results.empty()) continue;
    CHECK(results[0].error == failed.error);
    CHECK_FALSE(results[0].output_at);
  }
}

TEST_CASE("nobody is asked for the files of a task that has an outcome") {
  Place place;
  std::vector results{result(1, naming(missing))};
  CHECK(place.take(results, false).empty());
  CHECK(results.size() == 1);
}

TEST_CASE("however many attempts are without files, others are asked for theirs") {
  Place place;
  for (std::uint64_t n = 0; n < 2 * ResultFiles::most_attempts; ++n) {
    std::vector results{result(n, naming(missing))};
    REQUIRE(place.take(results).size() == 1);
  }
}
