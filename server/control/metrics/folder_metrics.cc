#include "server/control/metrics/folder_metrics.h"

#include <sys/statvfs.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "server/control/metrics/gauge_family.h"

namespace stockpot {
namespace {

namespace fs = std::filesystem;

// Files come and go meanwhile: what cannot be looked at counts nothing.
template <typename Iterator>
double BytesOf(Iterator entry, const std::string& prefix) {
  double bytes = 0;
  std::error_code error;
  for (; entry != Iterator(); entry.increment(error)) {
    if (error) break;
    std::error_code gone;
    if (!entry->is_regular_file(gone) || entry->is_symlink(gone)) continue;
    if (!absl::StartsWith(entry->path().filename().string(), prefix)) continue;
    const auto size = entry->file_size(gone);
    if (!gone) bytes += static_cast<double>(size);
  }
  return bytes;
}

double SizeOf(const MeasuredFolders::Cache& cache) {
  std::error_code error;
  if (cache.whole)
    return BytesOf(fs::recursive_directory_iterator(cache.folder, error), cache.prefix);
  return BytesOf(fs::directory_iterator(cache.folder, error), cache.prefix);
}

}  // namespace

std::vector<double> FolderMetrics::CacheSizes() const {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  // Also after the clock was set back.
  if (now >= measured_ && now - measured_ < folders_.every) return sizes_;
  sizes_.clear();
  for (const MeasuredFolders::Cache& cache : folders_.caches) sizes_.push_back(SizeOf(cache));
  measured_ = now;
  return sizes_;
}

std::vector<prometheus::MetricFamily> FolderMetrics::Collect() const {
  if (folders_.data_folder.empty()) return {};
  std::vector<prometheus::MetricFamily> families;
  const std::vector<double> sizes = CacheSizes();
  prometheus::MetricFamily caches =
      GaugeFamily("stockpot_cache_size_bytes", "Size of caches on disk.");
  for (size_t i = 0; i < sizes.size(); ++i) {
    AddGauge(&caches, sizes[i], {{"cache", folders_.caches[i].name}});
  }
  families.push_back(std::move(caches));
  struct statvfs disk = {};
  if (statvfs(folders_.data_folder.c_str(), &disk) != 0) return families;
  const auto block = static_cast<double>(disk.f_frsize);
  families.push_back(OneGauge("stockpot_data_folder_free_bytes",
                              "Room left on the file system of the data folder.",
                              static_cast<double>(disk.f_bavail) * block));
  families.push_back(OneGauge("stockpot_data_folder_size_bytes",
                              "Size of the file system of the data folder.",
                              static_cast<double>(disk.f_blocks) * block));
  return families;
}

}  // namespace stockpot
