#include "server/worker/evaluation/host_memory.h"

#include <gtest/gtest.h>

#include <fstream>

#include "server/worker/evaluation/device_memory.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

class HostMemoryTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }
  HostMemory Read() { return ReadHostMemory(folder_ / "meminfo", folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(HostMemoryTest, IsTheMachinesWhereNothingBoundsIt) {
  Write("meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n");
  for (const char* most : {"", "max\n", "99999999\n", "nonsense\n"}) {
    Write("memory.max", most);
    Write("memory.current", "5000\n");
    EXPECT_EQ(Read().total, 1000 * 1024) << most;
    EXPECT_EQ(Read().used, 600 * 1024) << most;
  }
}

TEST_F(HostMemoryTest, IsTheContainersWhereThatIsLess) {
  Write("meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n");
  Write("memory.max", "500000\n");
  Write("memory.current", "300000\n");
  EXPECT_EQ(Read().used, 300000);
  Write("memory.stat", "anon 1\ninactive_file 100000\nactive_file 7\n");
  EXPECT_EQ(Read().total, 500000);
  EXPECT_EQ(Read().used, 200000);
}

TEST_F(HostMemoryTest, IsNotKnownWithoutAKernelThatSays) {
  EXPECT_EQ(Read().total, 0);
  EXPECT_EQ(Read().used, 0);
}

TEST(DeviceMemory, OfTheProcessorIsThatOfTheHost) {
  const DeviceMemory memory = ReadDeviceMemory("cpu");
  EXPECT_EQ(memory.device, "cpu");
  EXPECT_GT(memory.total_bytes, 1 << 20);
  EXPECT_GT(memory.used_bytes, 0);
  EXPECT_LE(memory.used_bytes, memory.total_bytes);
  EXPECT_EQ(ReadDeviceMemory("toaster").device, "");
}

}  // namespace
}  // namespace stockpot
