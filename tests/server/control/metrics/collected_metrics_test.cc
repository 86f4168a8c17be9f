// What is looked up when Prometheus asks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <prometheus/metric_family.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "server/control/metrics/folder_metrics.h"
#include "server/control/metrics/process_metrics.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

// By name, or NAME/LABEL's value.
std::map<std::string, double> ValuesOf(const prometheus::Collectable& collectable) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : collectable.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      const std::string label = metric.label.empty() ? "" : "/" + metric.label[0].value;
      values[family.name + label] = family.type == prometheus::MetricType::Counter
                                        ? metric.counter.value
                                        : metric.gauge.value;
    }
  }
  return values;
}

TEST(ProcessMetrics, AreThoseOfThisProcessAsItIsNow) {
  const ProcessMetrics metrics(absl::FromUnixSeconds(1000));
  absl::Notification end;
  // A sanitizer begins a thread of its own with the first; one that has ended may still be counted.
  std::thread first([&] { end.WaitForNotification(); });
  const auto before = ValuesOf(metrics);
  EXPECT_EQ(before.at("process_start_time_seconds"), 1000);
  EXPECT_GT(before.at("process_resident_memory_bytes"), 100'000);
  EXPECT_GT(before.at("process_virtual_memory_bytes"), before.at("process_resident_memory_bytes"));
  EXPECT_GE(before.at("process_open_fds"), 3);
  EXPECT_GE(before.at("process_max_fds"), before.at("process_open_fds"));
  EXPECT_GE(before.at("process_cpu_seconds_total"), 0);

  const int opened = open("/dev/null", O_RDONLY | O_CLOEXEC);
  std::thread thread([&] { end.WaitForNotification(); });
  const auto after = ValuesOf(metrics);
  EXPECT_EQ(after.at("process_open_fds"), before.at("process_open_fds") + 1);
  EXPECT_EQ(after.at("process_threads"), before.at("process_threads") + 1);
  EXPECT_GE(after.at("process_cpu_seconds_total"), before.at("process_cpu_seconds_total"));
  end.Notify();
  first.join();
  thread.join();
  close(opened);
}

class FolderMetricsTest : public testing::Test {
 protected:
  void Write(const std::string& name, size_t bytes) {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << std::string(bytes, 'x');
  }
  MeasuredFolders Folders(absl::Duration every) {
    return {folder_.path(),
            {{"data_sets", folder_ / "cache", "", false},
             {"downloads", folder_ / "cache/downloads", "", true},
             {"facts", folder_.path(), "stockpot.db", false},
             {"logits", folder_ / "none", "", false}},
            every};
  }

  TemporaryFolder folder_;
};

TEST_F(FolderMetricsTest, MeasureCachesAndTheRoomThatIsLeft) {
  Write("stockpot.db", 5);
  Write("stockpot.db-wal", 6);
  Write("lock", 1000);
  Write("cache/a.images", 10);
  Write("cache/b.tensors", 20);
  Write("cache/downloads/c.file", 100);
  Write("cache/downloads/folders/d.folder/e/f", 200);
  std::filesystem::create_symlink("/etc/passwd", folder_ / "cache/link");
  std::filesystem::create_directory_symlink("/", folder_ / "cache/downloads/everything");
  const FolderMetrics metrics(Folders(absl::ZeroDuration()));
  const auto values = ValuesOf(metrics);
  EXPECT_EQ(values.at("stockpot_cache_size_bytes/data_sets"), 30);
  EXPECT_EQ(values.at("stockpot_cache_size_bytes/downloads"), 300);
  EXPECT_EQ(values.at("stockpot_cache_size_bytes/facts"), 11);
  EXPECT_EQ(values.at("stockpot_cache_size_bytes/logits"), 0);
  EXPECT_GT(values.at("stockpot_data_folder_size_bytes"), 0);
  EXPECT_LE(values.at("stockpot_data_folder_free_bytes"),
            values.at("stockpot_data_folder_size_bytes"));
}

TEST_F(FolderMetricsTest, DoNotLookAtEveryScrape) {
  Write("cache/a.images", 10);
  const FolderMetrics seldom(Folders(absl::Hours(1))), always(Folders(absl::ZeroDuration()));
  ValuesOf(seldom);
  Write("cache/b.images", 10);
  EXPECT_EQ(ValuesOf(seldom).at("stockpot_cache_size_bytes/data_sets"), 10);
  EXPECT_EQ(ValuesOf(always).at("stockpot_cache_size_bytes/data_sets"), 20);
}

TEST(FolderMetrics, WithoutAFolderThereIsNothing) {
  EXPECT_TRUE(ValuesOf(FolderMetrics({})).empty());
}

}  // namespace
}  // namespace stockpot
