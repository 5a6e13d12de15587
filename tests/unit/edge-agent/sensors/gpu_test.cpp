#include "edge-agent/sensors/gpu.hpp"

#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {

void put(const test::TemporaryFolder& sys, const std::string& path, const std::string& text) {
  const std::filesystem::path file = sys.path() + "/class/drm/" + path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text << '\n';
}

}  // namespace

TEST_CASE("the kernel's cards with a render node are GPUs") {
  const test::TemporaryFolder sys;
  CHECK(gpus_of_kernel(sys.path()).empty());
  put(sys, "card0/device/uevent", "MAJOR=1\nDRIVER=v3d\nOF_NAME=v3d");
  put(sys, "card0/device/drm/renderD128/dev", "226:128");
  put(sys, "card1/device/uevent", "DRIVER=vc4-drm");  // only drives the display
  put(sys, "card1-HDMI-A-1/status", "connected");
  put(sys, "card2/device/product_name", "Radeon\x1b[31m RX 580");
  put(sys, "card2/device/mem_info_vram_total", "8589934592");
  put(sys, "card2/device/hwmon/hwmon3/temp1_input", "51000");
  put(sys, "card2/device/drm/renderD129/dev", "226:129");
  const auto gpus = gpus_of_kernel(sys.path());
  REQUIRE(gpus.size() == 2);
  CHECK(gpus[0].info == GpuInfo{"v3d", 0});
  CHECK_FALSE(gpus[0].celsius);
  CHECK(gpus[1].info == GpuInfo{"Radeon [31m RX 580", 8589934592});
  CHECK(*gpus[1].celsius == 51);
}

TEST_CASE("the answer of nvidia-smi is read line by line") {
  const auto gpus = gpus_of_nvidia(
      "NVIDIA GeForce RTX 3060, 12288, 45\nA100, 40 GB, 40960, [N/A]\nNo devices were found\n, 1, 2\nOld, [N/A], "
      "60\r\n");
  REQUIRE(gpus.size() == 3);
  CHECK(gpus[0].info == GpuInfo{"NVIDIA GeForce RTX 3060", 12288ULL * 1024 * 1024});
  CHECK(*gpus[0].celsius == 45);
  CHECK(gpus[1].info == GpuInfo{"A100, 40 GB", 40960ULL * 1024 * 1024});
  CHECK_FALSE(gpus[1].celsius);
  CHECK(gpus[2].info == GpuInfo{"Old", 0});
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "gpu, 99999999999999999, 1\n";
  CHECK(gpus_of_nvidia(many).size() == limits::gpus);
}

TEST_CASE("what nvidia-smi says replaces the kernel's word on the same cards") {
  GpuReading pci{{"nvidia", 0}, {}, true};
  GpuReading board{{"v3d", 0}, {}, false};
  const auto known = gpus_of_nvidia("RTX, 1, 2\n");
  const auto both = joined({board, pci}, known);
  REQUIRE(both.size() == 2);
  CHECK(both[0].info.name == "v3d");
  CHECK(both[1].info.name == "RTX");
  CHECK(joined({board, pci}, {}).size() == 2);
}
