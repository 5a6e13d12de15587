#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include <CLI/CLI.hpp>

#include "edge-agent/plugins/image/picture.hpp"
#include "edge-agent/plugins/image/service.hpp"
#include "edge-agent/plugins/image/worker.hpp"

namespace {

using namespace edgefleet;

struct Options {
  unsigned slots = std::max(1U, std::thread::hardware_concurrency());
  unsigned max_megapixels = 100;
};

void declare(CLI::App& app, Options& options) {
  app.description(
      "edgefleet's image plug-in: resizes, blurs, sharpens and finds edges, with libvips.\n"
      "Started by edgefleet-agent; uses JSON lines on stdin and stdout, logs to stderr.");
  app.set_version_flag("--version", "edgefleet-plugin-image " EDGEFLEET_VERSION);
  app.add_option("--slots", options.slots, "number of pictures processed at the same time, each on one core")
      ->check(CLI::Range(1U, 256U))
      ->capture_default_str();
  app.add_option("--max-megapixels", options.max_megapixels,
                 "largest input or output picture, with 4 bytes a pixel; 100 can take 400 MB of memory, three times as "
                 "much as a progressive JPEG")
      ->check(CLI::Range(1U, 2000U))
      ->capture_default_str();
}

// Only lines for the agent may go to stdout: output of a library is redirected to the log.
int claim_stdout() {
  const int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app;
  Options options;
  declare(app, options);
  CLI11_PARSE(app, argc, argv);

  const auto log = [](const std::string& text) { std::cerr << text << std::endl; };
  signal(SIGPIPE, SIG_IGN);  // if the agent has ended, a write fails
  const int out = claim_stdout();
  if (const auto started = image::start_vips(argv[0]); !started) {
    log(started.error().message);
    return 1;
  }
  const image::Limits limits{.most_pixels = std::int64_t{options.max_megapixels} * 1'000'000};
  if (const auto bounded = image::bound_memory(limits); !bounded) {
    log(bounded.error().message);
    return 1;
  }
  image::Service(STDIN_FILENO, out, options.slots, limits, log).run();
  _exit(0);
}
