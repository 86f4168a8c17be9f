#include "server/control/job/report_files.h"

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/job/events.h"

namespace stockpot {
namespace {

absl::Status WriteJson(const std::string& folder, const std::string& file, const Json& json,
                       Json* artifacts) {
  const std::string text = DumpJson(json, /*indent=*/2) + "\n";
  RETURN_IF_ERROR(Annotate(WriteFileDurably(absl::StrCat(folder, "/", file), text), file));
  artifacts->push_back({{"file", file}, {"size_bytes", text.size()}, {"sha256", Sha256Hex(text)}});
  return absl::OkStatus();
}

// The soup's ingredients as they were added: the order is part of the arithmetic.
Json SoupIngredients(const Json& result) {
  Json ingredients = Json::array();
  for (const Json& blend : result["blends"]) {
    if (blend["kind"] != result["chosen"]) continue;
    for (const Json& name : blend["ingredients"]) {
      for (const Json& ingredient : result["ingredients"]) {
        if (ingredient["display_name"] != name) continue;
        ingredients.push_back({{"display_name", name},
                               {"uri", ingredient["uri"]},
                               {"digest", ingredient["digest"]},
                               {"coefficient", ingredient["coefficient"]}});
      }
    }
  }
  return ingredients;
}

Json Manifest(const JobRecord& job, const Json& result, const Json& artifacts,
              const std::string& software) {
  Json soup = {{"ingredients", SoupIngredients(result)},
               {"content_digest", result.value("soup_digest", "")}};
  if (!artifacts.empty()) soup["sha256"] = artifacts[0]["sha256"];
  const absl::StatusOr<Json> spec = ParseJson(job.spec);
  return {{"job", job.name},
          {"software", software},
          {"recipe", job.recipe_version},
          {"numerics", result.value("numerics", "")},
          {"spec", spec.ok() ? *spec : Json()},
          {"soup", std::move(soup)}};
}

}  // namespace

Json MakeReport(const JobRun& run, absl::Time now) {
  return {{"result", run.plan().ReportResult(run.ledger())}, {"cost", run.Cost(now)}};
}

absl::StatusOr<Json> WriteReportFiles(const JobRecord& job, const JobRun& run, const Json& report,
                                      const std::string& software, const std::string& folder) {
  Json artifacts = run.decision().artifacts;
  const Json manifest = Manifest(job, report["result"], artifacts, software);
  RETURN_IF_ERROR(MakeFolders(folder));
  RETURN_IF_ERROR(WriteJson(folder, "report.json", report, &artifacts));
  RETURN_IF_ERROR(WriteJson(folder, "manifest.json", manifest, &artifacts));
  return artifacts;
}

}  // namespace stockpot
