#include "server/control/metrics/work_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "server/control/metrics/measured_folders.h"

namespace stockpot {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;

constexpr absl::string_view kOther = "other";
constexpr absl::string_view kCaches[] = {kDataSetCache, kCheckpointCache, kDownloadCache,
                                         kLogitsCache, kFactCache};
constexpr absl::string_view kSchemes[] = {"http", "https", "hf", "s3", "gs", "abfs"};
// More cards are in no machine.
constexpr size_t kMostDeviceDigits = 2;

template <typename Names>
std::string OneOf(const Names& names, absl::string_view name) {
  const bool known = std::find(std::begin(names), std::end(names), name) != std::end(names);
  return std::string(known ? name : kOther);
}

std::string DeviceLabel(absl::string_view device) {
  absl::string_view number = device;
  const bool card = absl::ConsumePrefix(&number, "cuda:") && !number.empty() &&
                    number.size() <= kMostDeviceDigits &&
                    std::all_of(number.begin(), number.end(), absl::ascii_isdigit);
  return std::string(device == "cpu" || card ? device : kOther);
}

// What is new; none where a number fell, as it would not.
double New(double before, double now) {
  return std::isfinite(before) && std::isfinite(now) ? std::max(now - before, 0.0) : 0;
}

double New(int64_t before, int64_t now) {
  return New(static_cast<double>(before), static_cast<double>(now));
}

template <typename Type>
Family<Type>& Add(prometheus::detail::Builder<Type> builder, prometheus::Registry* registry,
                  const char* name, const char* help) {
  return builder.Name(name).Help(help).Register(*registry);
}

// Of the name in the map; zeros where it is not there.
template <typename Counts>
Counts Find(const std::map<std::string, Counts>& map, const std::string& name) {
  const auto found = map.find(name);
  return found == map.end() ? Counts() : found->second;
}

}  // namespace

struct WorkMetrics::Families {
  explicit Families(prometheus::Registry* registry)
      : examples(Add(prometheus::BuildCounter(), registry, "stockpot_examples_evaluated_total",
                     "Examples run through models.")
                     .Add({})),
        busy(Add(prometheus::BuildCounter(), registry, "stockpot_device_busy_seconds_total",
                 "Time in which workers had a model at work on a device.")),
        memory_used(Add(prometheus::BuildGauge(), registry, "stockpot_device_memory_used_bytes",
                        "Memory of a device that is taken, by whomever.")),
        memory_size(Add(prometheus::BuildGauge(), registry, "stockpot_device_memory_size_bytes",
                        "Memory of a device.")),
        decoding(Add(prometheus::BuildCounter(), registry, "stockpot_decode_seconds_total",
                     "Time in which workers decoded data sets into the cache.")
                     .Add({})),
        hits(Add(prometheus::BuildCounter(), registry, "stockpot_cache_hits_total",
                 "Lookups that a cache answered.")),
        misses(Add(prometheus::BuildCounter(), registry, "stockpot_cache_misses_total",
                   "Lookups that a cache did not answer.")),
        mapped(Add(prometheus::BuildGauge(), registry, "stockpot_checkpoint_cache_mapped_bytes",
                   "Checkpoints that workers keep mapped, each worker's counted.")
                   .Add({})),
        requests(Add(prometheus::BuildCounter(), registry, "stockpot_storage_requests_total",
                     "Requests to stores on other machines, tries again included.")),
        errors(Add(prometheus::BuildCounter(), registry, "stockpot_storage_errors_total",
                   "Requests to stores on other machines that failed.")),
        read(Add(prometheus::BuildCounter(), registry, "stockpot_storage_read_bytes_total",
                 "Bytes read from stores on other machines.")),
        written(Add(prometheus::BuildCounter(), registry, "stockpot_storage_written_bytes_total",
                    "Bytes written to stores on other machines.")) {}

  Counter& examples;
  Family<Counter>& busy;
  Family<Gauge>&memory_used, &memory_size;
  Counter& decoding;
  Family<Counter>&hits, &misses;
  Gauge& mapped;
  Family<Counter>&requests, &errors, &read, &written;
};

WorkMetrics::WorkMetrics(prometheus::Registry* registry)
    : families_(std::make_unique<Families>(registry)) {
  // A rate needs the zero before the first one.
  for (const absl::string_view cache : kCaches) CountLookups(cache, 0, 0);
  WorkCounts none;
  for (const absl::string_view scheme : kSchemes) none.storage[std::string(scheme)] = {};
  AddNew(none, none);
}

WorkMetrics::~WorkMetrics() = default;

void WorkMetrics::CountLookups(absl::string_view cache, int64_t hits, int64_t misses) {
  const prometheus::Labels label = {{"cache", OneOf(kCaches, cache)}};
  families_->hits.Add(label).Increment(New(int64_t{0}, hits));
  families_->misses.Add(label).Increment(New(int64_t{0}, misses));
}

void WorkMetrics::Report(const std::string& worker_id, const WorkCounts& so_far) {
  absl::MutexLock lock(&mutex_);
  WorkCounts& known = workers_[worker_id];
  AddNew(known, so_far);
  known = so_far;
  SetGauges();
}

void WorkMetrics::AddNew(const WorkCounts& before, const WorkCounts& now) {
  families_->examples.Increment(New(before.examples, now.examples));
  families_->decoding.Increment(New(before.decode_seconds, now.decode_seconds));
  if (!now.memory.device.empty()) {
    families_->busy.Add({{"device", DeviceLabel(now.memory.device)}})
        .Increment(New(before.busy_seconds, now.busy_seconds));
  }
  for (const auto& [name, cache] : now.caches) {
    const CacheCounts known = Find(before.caches, name);
    CountLookups(name, static_cast<int64_t>(New(known.hits, cache.hits)),
                 static_cast<int64_t>(New(known.misses, cache.misses)));
  }
  for (const auto& [name, storage] : now.storage) {
    const StorageCounts known = Find(before.storage, name);
    const prometheus::Labels label = {{"scheme", OneOf(kSchemes, name)}};
    families_->requests.Add(label).Increment(New(known.requests, storage.requests));
    families_->errors.Add(label).Increment(New(known.errors, storage.errors));
    families_->read.Add(label).Increment(New(known.bytes_read, storage.bytes_read));
    families_->written.Add(label).Increment(New(known.bytes_written, storage.bytes_written));
  }
}

void WorkMetrics::Forget(const std::string& worker_id) {
  absl::MutexLock lock(&mutex_);
  workers_.erase(worker_id);
  SetGauges();
}

void WorkMetrics::SetGauges() {
  double mapped = 0;
  for (const auto& [id, counts] : workers_) {
    mapped += New(int64_t{0}, counts.kept_checkpoint_bytes);
    if (counts.memory.total_bytes <= 0) continue;
    // Workers of one device say the same of it, as of when they looked last.
    const prometheus::Labels label = {{"device", DeviceLabel(counts.memory.device)}};
    families_->memory_used.Add(label).Set(static_cast<double>(counts.memory.used_bytes));
    families_->memory_size.Add(label).Set(static_cast<double>(counts.memory.total_bytes));
  }
  families_->mapped.Set(mapped);
}

}  // namespace stockpot
