#include "server/control/rpc/verify_soup.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/job_translation.h"

namespace stockpot {
namespace {

absl::StatusOr<std::string> ReadManifestOf(const std::string& name, Engine* engine) {
  RETURN_IF_ERROR(CheckJobName(name));
  ASSIGN_OR_RETURN(const JobView view, engine->GetJob(name));
  const JobState state = view.record.state;
  if (state != JobState::kSucceeded) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          name, " has no soup to verify: it is ", JobStateName(state))),
                      IsEnded(state) ? "JOB_ENDED" : "JOB_NOT_ENDED");
  }
  absl::StatusOr<std::string> text = ReadSmallFile(
      absl::StrCat(engine->ArtifactFolder(view.record), "/", kManifestFile), kMaxManifestBytes);
  if (absl::IsNotFound(text.status())) {
    return WithReason(absl::NotFoundError("the job's manifest.json is no longer there"),
                      "ARTIFACT_NOT_FOUND");
  }
  return text.ok() ? text : Annotate(text.status(), "the job's manifest.json");
}

// A manifest may come from anywhere: it opens no file that a job could not, wherever in it a URI
// is.
absl::Status CheckUris(const Json& json, const AllowList& allowed) {
  if (json.is_array()) {
    for (const Json& item : json) RETURN_IF_ERROR(CheckUris(item, allowed));
  }
  if (!json.is_object()) return absl::OkStatus();
  for (const auto& [name, value] : json.items()) {
    RETURN_IF_ERROR(CheckUris(value, allowed));
    if (!value.is_string() || (name != "uri" && name != "architecture_uri")) continue;
    const std::string uri = value.get<std::string>();
    const absl::Status status =
        name == "uri" ? allowed.CheckData(uri).status() : allowed.CheckArchitecture(uri).status();
    RETURN_IF_ERROR(Annotate(status, absl::StrCat("'", ShownUri(uri), "'")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SoupVerification> FindSoup(const v1::VerifySoupRequest& request, Engine* engine,
                                          const AllowList& allowed) {
  if (request.soup_case() == v1::VerifySoupRequest::SOUP_NOT_SET) {
    return InvalidField("soup", "give name or manifest");
  }
  std::string text = request.manifest();
  if (request.has_name()) {
    ASSIGN_OR_RETURN(text, ReadManifestOf(request.name(), engine));
  }
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) {
    return WithReason(absl::InvalidArgumentError("the manifest is not JSON"), "MANIFEST_INVALID");
  }
  ASSIGN_OR_RETURN(SoupVerification soup, ReadManifest(*json));
  RETURN_IF_ERROR(CheckUris(soup.task.body, allowed));
  return soup;
}

absl::Status CompareSoup(const SoupVerification& expected, const Fact& fact,
                         v1::VerifySoupResponse* response) {
  ASSIGN_OR_RETURN(const SoupFound found, ReadSoupFound(fact));
  response->set_expected_digest(expected.content_digest);
  response->set_found_digest(found.content_digest);
  std::map<std::string, v1::VerifySoupResponse::FileComparison> files;
  for (const SoupFile& file : expected.files) files[file.file].set_expected_sha256(file.sha256);
  for (const SoupFile& file : found.files) files[file.file].set_found_sha256(file.sha256);
  bool identical = expected.content_digest == found.content_digest;
  for (auto& [name, file] : files) {
    file.set_file(name);
    identical = identical && file.expected_sha256() == file.found_sha256();
    *response->add_files() = file;
  }
  response->set_identical(identical);
  return absl::OkStatus();
}

}  // namespace stockpot
