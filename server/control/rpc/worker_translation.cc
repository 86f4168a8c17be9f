#include "server/control/rpc/worker_translation.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/json_mapping.h"

namespace stockpot {
namespace {

// More than there are caches, or schemes.
constexpr size_t kMostNames = 32;

absl::Status ResultStatus(const worker::v1::Result& result) {
  if (result.code() == 0) return absl::OkStatus();
  const absl::Status status = ParseSerializedStatus(result.status());
  if (!status.ok()) return status;
  return absl::InternalError(
      absl::StrCat("a worker reported failure ", result.code(), " without saying which"));
}

absl::StatusOr<Json> ResultJson(const worker::v1::TaskResult& result) {
  ASSIGN_OR_RETURN(const std::string text, MessageToJson(result));
  return ParseJson(text);
}

}  // namespace

WorkerInfo ToWorkerInfo(const worker::v1::Hello& hello) {
  WorkerInfo info;
  info.id = hello.worker_id();
  info.device_kind = BoundedUtf8(hello.device_kind(), 63);
  info.device_name = BoundedUtf8(hello.device_name(), 200);
  info.numerics = BoundedUtf8(hello.numerics(), 200);
  info.process_id = hello.process_id();
  return info;
}

WorkCounts ToWorkCounts(const worker::v1::WorkerCounters& counters) {
  WorkCounts counts;
  counts.examples = counters.examples_evaluated();
  counts.busy_seconds = counters.device_busy_seconds();
  counts.decode_seconds = counters.decode_seconds();
  for (const worker::v1::CacheCounters& cache : counters.caches()) {
    if (counts.caches.size() == kMostNames) break;
    counts.caches[cache.cache()] = {cache.hits(), cache.misses()};
  }
  for (const worker::v1::StorageCounters& storage : counters.storage()) {
    if (counts.storage.size() == kMostNames) break;
    counts.storage[storage.scheme()] = {storage.requests(), storage.errors(), storage.bytes_read(),
                                        storage.bytes_written()};
  }
  counts.memory = {counters.device(), counters.device_memory_used_bytes(),
                   counters.device_memory_total_bytes()};
  counts.kept_checkpoint_bytes = counters.kept_checkpoint_bytes();
  return counts;
}

absl::StatusOr<worker::v1::Assignment> ToAssignmentMessage(const Assignment& assignment) {
  worker::v1::Assignment message;
  message.set_assignment_id(assignment.id);
  RETURN_IF_ERROR(JsonToMessage(DumpJson(assignment.task.body), message.mutable_task()));
  if (message.task().task_case() == worker::v1::Task::TASK_NOT_SET) {
    return absl::InternalError(
        absl::StrCat("a task of kind '", assignment.task.kind(), "' has no message"));
  }
  message.mutable_task()->set_key(assignment.task.key);
  return message;
}

Fact ToFact(worker::v1::Result result) {
  Fact fact;
  fact.status = ResultStatus(result);
  fact.seconds = std::isfinite(result.seconds()) ? std::max(result.seconds(), 0.0) : 0.0;
  if (!fact.status.ok()) return fact;
  absl::StatusOr<Json> json = ResultJson(result.result());
  if (!json.ok() || json->empty()) {
    fact.status = absl::InternalError("a worker reported success without a result");
    return fact;
  }
  fact.result = *std::move(json);
  fact.examples = std::move(*result.mutable_examples());
  return fact;
}

}  // namespace stockpot
