// The half of new_job_checks.h that looks at URIs.
#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/control/rpc/new_job_checks.h"

namespace stockpot {
namespace {

// Gathers what is wrong with the URIs of a spec.
class SourceChecker {
 public:
  void Check(const std::string& field, const absl::Status& status) {
    if (status.ok()) return;
    violations_.push_back({field, std::string(status.message())});
    if (first_.ok() || Rank(status) > Rank(first_)) {
      first_ = status;
      first_field_ = field;
    }
  }

  absl::Status status() const {
    if (first_.ok()) return first_;
    ErrorFacts facts = GetErrorFacts(first_);
    facts.violations = violations_;
    const size_t others = violations_.size() - 1;
    const std::string more = others == 0 ? "" : absl::StrCat(" (and ", others, " more)");
    return WithFacts(
        absl::Status(first_.code(), absl::StrCat(first_field_, ": ", first_.message(), more)),
        facts);
  }

 private:
  // A URI that cannot be understood comes before one that is not allowed, and that before one that
  // is not there.
  static int Rank(const absl::Status& status) {
    if (GetErrorFacts(status).reason == "INVALID_FIELD") return 3;
    if (absl::IsUnimplemented(status)) return 2;
    return absl::IsPermissionDenied(status) ? 1 : 0;
  }

  absl::Status first_;
  std::string first_field_;
  std::vector<FieldViolation> violations_;
};

std::string IngredientField(int index) {
  return absl::StrCat("job.spec.ingredients[", index, "].uri");
}

// The field of a data set as ParseJobSpec() orders them: the held-out set first.
std::string DataSetField(int index) {
  return index == 0 ? "job.spec.evaluation.held_out"
                    : absl::StrCat("job.spec.evaluation.report_sets[", index - 1, "]");
}

enum class Kind { kFile, kFolder };

// `path` is real, or why there is none.
absl::Status CheckKind(const absl::StatusOr<std::string>& path, Kind kind,
                       absl::string_view missing_reason, absl::string_view kind_reason) {
  if (absl::IsNotFound(path.status())) {
    return WithReason(absl::NotFoundError("no such file or folder"), missing_reason);
  }
  if (!path.ok()) {
    const bool has_reason = !GetErrorFacts(path.status()).reason.empty();
    return has_reason ? path.status() : WithReason(path.status(), missing_reason);
  }
  struct stat status = {};
  const bool found = stat(path->c_str(), &status) == 0;
  if (kind == Kind::kFile && !(found && S_ISREG(status.st_mode))) {
    return WithReason(absl::InvalidArgumentError("must be a file"), kind_reason);
  }
  if (kind == Kind::kFolder && !(found && S_ISDIR(status.st_mode))) {
    return WithReason(absl::InvalidArgumentError("must be a folder"), kind_reason);
  }
  return absl::OkStatus();
}

absl::Status CheckDataSet(const v1::DataSet& data_set, const AllowList& allowed) {
  RETURN_IF_ERROR(allowed.CheckData(data_set.uri()).status());
  const bool is_tensors = data_set.format() == v1::DataSet::TENSORS ||
                          (data_set.format() == v1::DataSet::FORMAT_UNSPECIFIED &&
                           absl::EndsWith(data_set.uri(), ".safetensors"));
  if (is_tensors || !IsRemoteUri(data_set.uri())) return absl::OkStatus();
  return WithReason(
      absl::UnimplementedError("image folders are not read over the network by this release; give "
                               "tensors in a .safetensors file, or a folder of the server"),
      "NOT_IMPLEMENTED");
}

}  // namespace

absl::Status CheckSources(const v1::JobSpec& spec, const AllowList& allowed) {
  SourceChecker checker;
  checker.Check("job.spec.model.architecture_uri",
                allowed.CheckArchitecture(spec.model().architecture_uri()).status());
  for (int i = 0; i < spec.ingredients_size(); ++i) {
    checker.Check(IngredientField(i), allowed.CheckData(spec.ingredients(i).uri()).status());
  }
  if (!spec.model().base_uri().empty()) {
    checker.Check("job.spec.model.base_uri", allowed.CheckData(spec.model().base_uri()).status());
  }
  const auto check_data_set = [&](const std::string& field, const v1::DataSet& data_set) {
    checker.Check(field + ".uri", CheckDataSet(data_set, allowed));
    if (!data_set.has_classifier()) return;
    checker.Check(field + ".classifier.uri",
                  allowed.CheckData(data_set.classifier().uri()).status());
  };
  const v1::EvaluationPlan& plan = spec.evaluation();
  check_data_set(DataSetField(0), plan.held_out());
  for (int i = 0; i < plan.report_sets_size(); ++i) {
    check_data_set(DataSetField(i + 1), plan.report_sets(i));
  }
  if (spec.has_batch_norm()) {
    check_data_set("job.spec.batch_norm.data_set", spec.batch_norm().data_set());
  }
  if (!spec.output().output_uri().empty()) {
    checker.Check("job.spec.output.output_uri",
                  allowed.CheckOutput(spec.output().output_uri()).status());
  }
  return checker.status();
}

absl::Status CheckSourcesExist(const JobSpec& spec, const AllowList& allowed) {
  SourceChecker checker;
  // Whether a remote file is there is for a worker to find out: the server connects to nobody.
  if (!IsRemoteUri(spec.architecture_uri)) {
    checker.Check("job.spec.model.architecture_uri",
                  CheckKind(allowed.ResolveArchitecture(spec.architecture_uri), Kind::kFile,
                            "ARCHITECTURE_INVALID", "ARCHITECTURE_INVALID"));
  }
  const auto check_kind = [&](const std::string& uri, Kind kind, absl::string_view missing_reason,
                              absl::string_view kind_reason) {
    if (IsRemoteUri(uri)) return allowed.CheckData(uri).status();
    return CheckKind(allowed.ResolveData(uri), kind, missing_reason, kind_reason);
  };
  std::vector<absl::Status> ingredients;
  bool any_usable = false;
  for (const IngredientSpec& ingredient : spec.ingredients) {
    ingredients.push_back(
        check_kind(ingredient.uri, Kind::kFile, "CHECKPOINT_NOT_FOUND", "CHECKPOINT_INVALID"));
    any_usable = any_usable || ingredients.back().ok();
  }
  if (!spec.skip_bad_ingredients || !any_usable) {
    for (size_t i = 0; i < ingredients.size(); ++i) {
      absl::Status problem = ingredients[i];
      if (!problem.ok()) {
        problem = WithMetadata(problem, "ingredient", spec.ingredients[i].display_name);
      }
      checker.Check(IngredientField(static_cast<int>(i)), problem);
    }
  }
  const auto check_checkpoint = [&](const std::string& field, const std::string& uri) {
    checker.Check(field,
                  check_kind(uri, Kind::kFile, "CHECKPOINT_NOT_FOUND", "CHECKPOINT_INVALID"));
  };
  const auto check_data_set = [&](const std::string& field, const DataSetSpec& data_set) {
    const Kind kind = data_set.format == "TENSORS" ? Kind::kFile : Kind::kFolder;
    checker.Check(field + ".uri",
                  check_kind(data_set.uri, kind, "DATA_SET_NOT_FOUND", "DATA_SET_INVALID"));
    if (!data_set.classifier.has_value()) return;
    check_checkpoint(field + ".classifier.uri", data_set.classifier->uri);
  };
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    check_data_set(DataSetField(static_cast<int>(i)), spec.data_sets[i]);
  }
  if (!spec.base_uri.empty()) check_checkpoint("job.spec.model.base_uri", spec.base_uri);
  if (spec.batch_norm.has_value()) {
    check_data_set("job.spec.batch_norm.data_set", spec.batch_norm->data_set);
  }
  if (!spec.output_uri.empty()) {
    const absl::StatusOr<std::string> folder = allowed.CheckOutput(spec.output_uri);
    struct stat status = {};
    const bool is_file =
        folder.ok() && stat(folder->c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
    checker.Check("job.spec.output.output_uri",
                  is_file
                      ? WithReason(absl::InvalidArgumentError("must be a folder"), "INVALID_FIELD")
                      : folder.status());
  }
  return checker.status();
}

}  // namespace stockpot
