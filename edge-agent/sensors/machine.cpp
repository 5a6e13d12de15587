#include "edge-agent/sensors/machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "common/core/utf8.hpp"

namespace edgefleet::agent {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, '\0');  // strings of a device tree end with NUL
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return std::string(cut_front(text, 200));
}

std::uint64_t meminfo_bytes(const std::string& field) {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(field + ":")) return std::strtoull(line.c_str() + field.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

std::string os_release(const std::string& key) {
  std::ifstream file("/etc/os-release");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(key + "=")) continue;
    std::string value = line.substr(key.size() + 1);
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

}  // namespace

std::string short_board_name(const std::string& model) {
  struct Board {
    const char* part;
    const char* name;
  };
  constexpr std::array<Board, 8> boards{{{"Raspberry Pi 5", "pi5"},
                                         {"Raspberry Pi Compute Module 5", "cm5"},
                                         {"Raspberry Pi 4", "pi4"},
                                         {"Raspberry Pi Compute Module 4", "cm4"},
                                         {"Raspberry Pi 3", "pi3"},
                                         {"Raspberry Pi Zero 2", "pizero2"},
                                         {"Raspberry Pi 2", "pi2"},
                                         {"Raspberry Pi Zero", "pizero"}}};
  for (const auto& [part, name] : boards) {
    if (model.find(part) != std::string::npos) return name;
  }
  return {};
}

void describe_machine(AgentInfo& info) {
  utsname machine{};
  uname(&machine);
  info.arch = machine.machine;
  info.os = os_release("PRETTY_NAME");
  info.board = read_text("/proc/device-tree/model");
  if (info.board.empty()) info.board = read_text("/sys/class/dmi/id/product_name");
  info.cpus = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  info.memory_bytes = meminfo_bytes("MemTotal");
  info.labels.emplace("arch", info.arch);
  if (const auto id = os_release("ID"); !id.empty()) info.labels.emplace("os", id);
  if (const auto board = short_board_name(info.board); !board.empty()) info.labels.emplace("board", board);
}

std::string machine_serial() {
  for (const char* path : {"/proc/device-tree/serial-number", "/etc/machine-id", "/var/lib/dbus/machine-id"}) {
    if (auto text = read_text(path); !text.empty()) return text;
  }
  return {};
}

double load_average() {
  std::array<double, 1> load{};
  return getloadavg(load.data(), 1) == 1 ? load[0] : 0;
}

std::uint64_t free_memory_bytes() { return meminfo_bytes("MemAvailable"); }

}  // namespace edgefleet::agent
