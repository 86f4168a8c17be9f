#include "server/control/job/report_files.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/job/manifest.h"
#include "server/control/job/model_card.h"

namespace stockpot {
namespace {

absl::Status WriteArtifact(const std::string& folder, const std::string& file,
                           const std::string& text, Json* artifacts) {
  RETURN_IF_ERROR(Annotate(WriteFileDurably(absl::StrCat(folder, "/", file), text), file));
  artifacts->push_back({{"file", file}, {"size_bytes", text.size()}, {"sha256", Sha256Hex(text)}});
  return absl::OkStatus();
}

std::string Text(const Json& json) { return DumpJson(json, /*indent=*/2) + "\n"; }

}  // namespace

Json MakeReport(const JobRun& run, absl::Time now) {
  return {{"result", run.plan().ReportResult(run.ledger())}, {"cost", run.Cost(now)}};
}

absl::StatusOr<Json> WriteReportFiles(const JobRecord& job, const JobRun& run, const Json& report,
                                      const std::string& software, const std::string& folder,
                                      const std::function<void(const char*)>& reached) {
  const Json& soup = run.decision().artifacts;
  Json others = Json::array();
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(WriteArtifact(folder, "report.json", Text(report), &others));
  reached("report_written");
  RETURN_IF_ERROR(
      WriteArtifact(folder, "README.md", ModelCard(job, report["result"], soup), &others));
  const Json manifest = MakeManifest(job, software, run.decision(), report["result"], others);
  RETURN_IF_ERROR(WriteArtifact(folder, kManifestFile, Text(manifest), &others));
  reached("manifest_written");
  Json artifacts = soup;
  artifacts.insert(artifacts.end(), others.begin(), others.end());
  return artifacts;
}

bool IsRemoteFolder(const std::string& output_folder) {
  return absl::StrContains(output_folder, "://");
}

absl::Status OutputExists(const std::string& message) {
  return WithReason(absl::AlreadyExistsError(message), "OUTPUT_EXISTS");
}

absl::Status CheckOutputFolder(const std::string& folder, const std::string& job) {
  if (folder.empty() || IsRemoteFolder(folder)) return absl::OkStatus();
  const absl::StatusOr<std::string> text =
      ReadSmallFile(absl::StrCat(folder, "/", kManifestFile), kMaxManifestBytes);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  RETURN_IF_ERROR(Annotate(text.status(), "output_uri"));
  const absl::StatusOr<Json> manifest = ParseJson(*text);
  const bool own = manifest.ok() && manifest->is_object() && manifest->contains("job") &&
                   manifest->at("job") == job;
  return own ? absl::OkStatus() : OutputExists("output_uri holds the artifacts of another job");
}

}  // namespace stockpot
