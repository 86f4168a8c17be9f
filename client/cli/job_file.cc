#include "client/cli/job_file.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/document.h"
#include "client/cli/errors.h"
#include "client/cli/field_check.h"
#include "client/cli/paths.h"
#include "client/cli/places.h"
#include "client/cli/read_file.h"
#include "google/api/field_behavior.pb.h"

namespace stockpot::cli {
namespace {

using google::protobuf::FieldDescriptor;

constexpr uintmax_t kMaxFileMebibytes = 16;

// What the server sets (name, state, report, …) is not the client's to give.
void RemoveOutputs(nlohmann::json& job) {
  const google::protobuf::Descriptor* type = v1::Job::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const auto& behaviors = field->options().GetRepeatedExtension(google::api::field_behavior);
    const bool output = std::any_of(behaviors.begin(), behaviors.end(), [](int behavior) {
      return behavior == google::api::OUTPUT_ONLY || behavior == google::api::IDENTIFIER;
    });
    if (!output) continue;
    job.erase(field->name());
    job.erase(field->json_name());
  }
}

absl::StatusOr<v1::Job> ToJob(Document document) {
  const bool whole_job = document.root.is_object() && document.root.contains("spec");
  if (whole_job) RemoveOutputs(document.root);
  v1::Job job;
  google::protobuf::Message& target =
      whole_job ? static_cast<google::protobuf::Message&>(job) : *job.mutable_spec();
  const std::vector<FieldProblem> problems = CheckFields(document, target.GetDescriptor());
  if (!problems.empty()) {
    return InvalidFields(problems.size() == 1 ? "one field is wrong"
                                              : absl::StrCat(problems.size(), " fields are wrong"),
                         problems);
  }
  const std::string canonical =
      document.root.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto status = google::protobuf::util::JsonStringToMessage(canonical, &target);
  if (!status.ok()) return absl::InvalidArgumentError(std::string(status.message()));
  return job;
}

}  // namespace

absl::StatusOr<v1::Job> ParseJobFile(const std::string& text, JobFileFormat format,
                                     const std::string& folder) {
  absl::StatusOr<Document> document =
      format == JobFileFormat::kJson ? ParseJson(text) : ParseYaml(text);
  if (!document.ok()) return document.status();
  return ReadJobDocument(*std::move(document), folder);
}

absl::StatusOr<v1::Job> ReadJobDocument(Document document, const std::string& folder) {
  absl::StatusOr<v1::Job> job = ToJob(std::move(document));
  if (job.ok()) {
    ForEachPlace(*job->mutable_spec(),
                 [&](const std::string& place) { return InMessage(AbsolutePath(place, folder)); });
  }
  return job;
}

absl::StatusOr<v1::Job> ReadJobFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxFileMebibytes);
  if (!text.ok()) return text.status();
  std::error_code error;
  absl::StatusOr<v1::Job> job = ParseJobFile(
      *text, absl::EndsWith(path, ".json") ? JobFileFormat::kJson : JobFileFormat::kYaml,
      std::filesystem::absolute(path, error).parent_path().string());
  return job.ok() ? std::move(job) : Annotate(job.status(), path);
}

}  // namespace stockpot::cli
