// The plug-in's loop: lines from the agent, workers, lines to the agent. One thread, which uses poll().
#pragma once

#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "common/core/line_reader.hpp"
#include "edge-agent/plugins/image/picture.hpp"
#include "edge-agent/plugins/image/protocol.hpp"
#include "edge-agent/plugins/image/worker.hpp"

namespace edgefleet::image {

class Service {
 public:
  using Log = std::function<void(const std::string&)>;

  // `in`, `out`: file descriptors of the agent's lines and of ours.
  Service(int in, int out, unsigned slots, Limits limits, Log log)
      : in_(in), out_(out), slots_(slots), limits_(limits), log_(std::move(log)) {}

  // Until the agent closes its end or stops reading; running tasks are killed then.
  void run();

 private:
  void read_agent();
  void on_line(std::string_view line);
  void on_message(const Task& task);
  void on_message(const Cancel& cancel);
  void on_message(const Ignored& ignored);
  void read_worker(std::list<Worker>::iterator worker);
  void say(const std::string& line);

  int in_;
  int out_;
  unsigned slots_;
  Limits limits_;
  Log log_;
  bool over_ = false;
  LineReader lines_{kMostLine, LineReader::Overlong::drop};
  std::list<Worker> workers_;
};

}  // namespace edgefleet::image
