#include "server/control/rpc/new_job_checks.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/control/access/access_list.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/call_metadata.h"

namespace stockpot {
namespace {

constexpr size_t kMaxDisplayName = 200;
constexpr int kMaxLabels = 64;
constexpr size_t kMaxLabel = 63;
constexpr int kMaxPriority = 100;

// Characters, for limits that people see; protobuf has made sure of UTF-8.
size_t CharacterCount(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool IsLabelKey(const std::string& key) {
  return !key.empty() && key.size() <= kMaxLabel &&
         absl::ascii_islower(static_cast<unsigned char>(key[0])) &&
         std::all_of(key.begin(), key.end(), [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-';
         });
}

}  // namespace

std::vector<FieldViolation> CheckRequestFields(const v1::CreateJobRequest& request,
                                               const std::string& client) {
  std::vector<FieldViolation> violations;
  if (!client.empty() && !IsClientName(client)) {
    violations.push_back({absl::StrCat("metadata.", kClientMetadata),
                          "must be up to 63 of A-Z, a-z, 0-9 and . _ @ -, given once"});
  }
  if (!request.job_id().empty() && !IsJobId(request.job_id())) {
    violations.push_back({"job_id", "must be 1 to 63 of a-z, 0-9 and '-'"});
  }
  if (!IsRequestId(request.request_id())) {
    violations.push_back(
        {"request_id", absl::StrCat("must be at most ", kMaxRequestId, " printable characters")});
  }
  const v1::Job& job = request.job();
  if (CharacterCount(job.display_name()) > kMaxDisplayName) {
    violations.push_back(
        {"job.display_name", absl::StrCat("must be at most ", kMaxDisplayName, " characters")});
  }
  if (job.priority() < -kMaxPriority || job.priority() > kMaxPriority) {
    violations.push_back(
        {"job.priority", absl::StrCat("must be between -", kMaxPriority, " and ", kMaxPriority)});
  }
  if (job.labels_size() > kMaxLabels) {
    violations.push_back({"job.labels", absl::StrCat("at most ", kMaxLabels, " labels")});
  }
  for (const auto& [key, value] : job.labels()) {
    const std::string field = absl::StrCat("job.labels[\"", key.substr(0, kMaxLabel), "\"]");
    if (!IsLabelKey(key)) {
      violations.push_back({field, "the key must match [a-z][a-z0-9_-]{0,62}"});
    } else if (CharacterCount(value) > kMaxLabel) {
      violations.push_back(
          {field, absl::StrCat("the value must be at most ", kMaxLabel, " characters")});
    }
  }
  return violations;
}

absl::Status WithSpecViolations(std::vector<FieldViolation> violations, const absl::Status& spec) {
  const ErrorFacts of_spec = GetErrorFacts(spec);
  if (!spec.ok() && of_spec.violations.empty()) return spec;
  violations.insert(violations.end(), of_spec.violations.begin(), of_spec.violations.end());
  if (violations.empty()) return absl::OkStatus();
  const std::string more =
      violations.size() == 1 ? "" : absl::StrCat(" (and ", violations.size() - 1, " more)");
  const std::string message =
      absl::StrCat(violations[0].field, ": ", violations[0].description, more);
  ErrorFacts facts;
  facts.reason = "INVALID_FIELD";
  facts.violations = std::move(violations);
  return WithFacts(absl::InvalidArgumentError(message), facts);
}

}  // namespace stockpot
