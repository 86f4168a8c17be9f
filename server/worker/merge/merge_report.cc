#include "server/worker/merge/merge_report.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/files.h"

namespace stockpot {
namespace {

std::string Megabytes(uint64_t bytes) {
  return absl::StrFormat("%.1f MB", static_cast<double>(bytes) / 1e6);
}

}  // namespace

std::string PlanText(const MergePlan& plan) {
  return absl::StrCat("plan: ", plan.ingredients, " ingredients of ", plan.tensors, " tensors on ",
                      plan.threads, " threads\n", "  reads   ", Megabytes(plan.bytes_read), "\n",
                      "  writes  ", Megabytes(plan.bytes_written), " in ", plan.files.size(),
                      " file", plan.files.size() == 1 ? "" : "s", "\n", "  memory  at most ",
                      Megabytes(plan.peak_bytes), " (buffers ", Megabytes(plan.buffer_bytes),
                      ", mapped ", Megabytes(plan.mapped_bytes), ", copies ",
                      Megabytes(plan.copied_bytes), ", program ", Megabytes(plan.program_bytes),
                      ")\n");
}

std::string ResultText(const MergePlan& plan, const MergeResult& result, double seconds,
                       uint64_t peak_bytes) {
  std::string text;
  for (const MergeResult::File& file : result.files) {
    absl::StrAppend(&text, file.path, "  ", Megabytes(file.byte_count), "  sha256 ", file.sha256,
                    "\n");
  }
  for (const std::string& digest : result.ingredient_digests) {
    absl::StrAppend(&text, "ingredient digest ", digest, "\n");
  }
  absl::StrAppend(
      &text,
      absl::StrFormat("%.2f s, %.1f GB/s, ", seconds,
                      static_cast<double>(plan.bytes_read + plan.bytes_written) / 1e9 / seconds),
      "peak memory ", Megabytes(peak_bytes), "\n");
  return text;
}

Json PlanJson(const MergePlan& plan) {
  return {{"plan",
           {{"files", plan.files},
            {"ingredients", plan.ingredients},
            {"tensors", plan.tensors},
            {"bytes_read", plan.bytes_read},
            {"bytes_written", plan.bytes_written},
            {"threads", plan.threads},
            {"buffer_bytes", plan.buffer_bytes},
            {"mapped_bytes", plan.mapped_bytes},
            {"copied_bytes", plan.copied_bytes},
            {"program_bytes", plan.program_bytes},
            {"peak_bytes", plan.peak_bytes}}}};
}

Json ResultJson(const MergeResult& result, double seconds, uint64_t peak_bytes) {
  Json files = Json::array();
  for (const MergeResult::File& file : result.files) {
    files.push_back(
        {{"path", file.path}, {"byte_count", file.byte_count}, {"sha256", file.sha256}});
  }
  return {{"files", std::move(files)},
          {"ingredient_digests", result.ingredient_digests},
          {"seconds", seconds},
          {"peak_bytes", peak_bytes}};
}

uint64_t PeakResidentBytes() {
  const absl::StatusOr<std::string> status = ReadSmallFile("/proc/self/status", 1 << 20);
  if (!status.ok()) return 0;
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    if (!absl::ConsumePrefix(&line, "VmHWM:") || !absl::ConsumeSuffix(&line, "kB")) continue;
    uint64_t kibibytes = 0;
    return absl::SimpleAtoi(line, &kibibytes) ? kibibytes * 1024 : 0;
  }
  return 0;
}

}  // namespace stockpot
