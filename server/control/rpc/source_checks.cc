// The half of new_job_checks.h that looks at URIs.
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/checkpoint_folder.h"
#include "server/control/rpc/new_job_checks.h"
#include "server/storage/shard_pattern.h"

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

std::string IngredientField(int index, bool is_pattern = false) {
  return absl::StrCat("job.spec.ingredients[", index, "].uri", is_pattern ? "_pattern" : "");
}

// The field of a data set as ParseJobSpec() orders them: the held-out set first.
std::string DataSetField(int index) {
  return index == 0 ? "job.spec.evaluation.held_out"
                    : absl::StrCat("job.spec.evaluation.report_sets[", index - 1, "]");
}

enum class Kind { kFile, kFolder, kFileOrFolder, kCheckpoint };

bool IsCheckpointFolder(const std::string& path) {
  struct stat ignored;
  return std::any_of(std::begin(kFilesOfCheckpointFolders), std::end(kFilesOfCheckpointFolders),
                     [&](absl::string_view name) {
                       return stat(absl::StrCat(path, "/", name).c_str(), &ignored) == 0;
                     });
}

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
  if (kind == Kind::kCheckpoint && found && S_ISDIR(status.st_mode) && !IsCheckpointFolder(*path)) {
    return WithReason(absl::InvalidArgumentError("is a folder without a checkpoint's files; end "
                                                 "it with / for those below it"),
                      kind_reason);
  }
  if (kind == Kind::kFile && !(found && S_ISREG(status.st_mode))) {
    return WithReason(absl::InvalidArgumentError("must be a file"), kind_reason);
  }
  if (kind == Kind::kFolder && !(found && S_ISDIR(status.st_mode))) {
    return WithReason(absl::InvalidArgumentError("must be a folder"), kind_reason);
  }
  return absl::OkStatus();
}

Kind KindOf(absl::string_view format) {
  if (format == "IMAGE_FOLDER") return Kind::kFolder;
  return format == "PARQUET" || format == "NUMPY" ? Kind::kFileOrFolder : Kind::kFile;
}

bool IsOneFile(const v1::DataSet& data_set) {
  const bool unsaid = data_set.format() == v1::DataSet::FORMAT_UNSPECIFIED;
  const auto is = [&](v1::DataSet::Format format, absl::string_view end) {
    return (unsaid || data_set.format() == format) && absl::EndsWith(data_set.uri(), end);
  };
  return data_set.format() == v1::DataSet::TENSORS ||
         data_set.format() == v1::DataSet::WEBDATASET || is(v1::DataSet::TENSORS, ".safetensors") ||
         is(v1::DataSet::WEBDATASET, ".tar") || is(v1::DataSet::PARQUET, ".parquet") ||
         is(v1::DataSet::NUMPY, ".npz") || data_set.format() == v1::DataSet::CSV ||
         data_set.format() == v1::DataSet::JSONL || is(v1::DataSet::CSV, ".csv") ||
         is(v1::DataSet::JSONL, ".jsonl");
}

// Of what is a folder on another machine, or needs one.
absl::Status CheckRemoteFolder(const v1::DataSet& data_set, const AllowList& allowed) {
  RETURN_IF_ERROR(allowed.CheckDataFolder(data_set.uri()).status());
  if (!absl::StartsWithIgnoreCase(data_set.uri(), "http")) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(
          "a web server has no folders: give a .parquet, .tar, .npz or .safetensors file, or a "
          "folder of the server, of a Hugging Face repository (hf://) or of an object store "
          "(s3://, gs://, abfs://)"),
      "SOURCE_UNSUPPORTED");
}

absl::Status CheckIngredient(const v1::Ingredient& ingredient, const AllowList& allowed) {
  if (!ingredient.uri_pattern().empty()) return allowed.CheckPattern(ingredient.uri_pattern());
  return MayHoldCheckpoints(ingredient.uri()) ? allowed.CheckPattern(ingredient.uri())
                                              : allowed.CheckData(ingredient.uri()).status();
}

}  // namespace

absl::Status CheckDataSetUris(const v1::DataSet& data_set, const AllowList& allowed) {
  const bool may_have_shards = data_set.format() == v1::DataSet::WEBDATASET ||
                               (data_set.format() == v1::DataSet::FORMAT_UNSPECIFIED &&
                                absl::EndsWith(data_set.uri(), ".tar"));
  const bool is_remote_folder = IsRemoteUri(data_set.uri()) && !IsOneFile(data_set);
  std::vector<std::string> uris = {data_set.uri()};
  if (may_have_shards) {
    ASSIGN_OR_RETURN(uris, ExpandShards(data_set.uri()));
  }
  for (const std::string& uri : uris) {
    if (!is_remote_folder) RETURN_IF_ERROR(allowed.CheckData(uri).status());
  }
  const std::string& config = data_set.image_transform().config_uri();
  if (!config.empty()) {
    RETURN_IF_ERROR(Annotate(allowed.CheckData(config).status(), "image_transform.config_uri"));
  }
  return is_remote_folder ? CheckRemoteFolder(data_set, allowed) : absl::OkStatus();
}

absl::Status CheckSources(const v1::JobSpec& spec, const AllowList& allowed) {
  SourceChecker checker;
  checker.Check("job.spec.model.architecture_uri",
                allowed.CheckArchitecture(spec.model().architecture_uri()).status());
  for (int i = 0; i < spec.ingredients_size(); ++i) {
    const v1::Ingredient& ingredient = spec.ingredients(i);
    checker.Check(IngredientField(i, !ingredient.uri_pattern().empty()),
                  CheckIngredient(ingredient, allowed));
  }
  if (!spec.model().base_uri().empty()) {
    checker.Check("job.spec.model.base_uri", allowed.CheckData(spec.model().base_uri()).status());
  }
  const auto check_data_set = [&](const std::string& field, const v1::DataSet& data_set) {
    checker.Check(field + ".uri", CheckDataSetUris(data_set, allowed));
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
    if (IsRemoteUri(uri)) {
      const bool is_data_folder = kind == Kind::kFolder || kind == Kind::kFileOrFolder;
      return (is_data_folder ? allowed.CheckDataFolder(uri) : allowed.CheckData(uri)).status();
    }
    return CheckKind(allowed.ResolveData(uri), kind, missing_reason, kind_reason);
  };
  std::vector<absl::Status> ingredients;
  bool any_usable = false;
  for (const IngredientSpec& ingredient : spec.ingredients) {
    // What a pattern matches is for a worker to find out.
    if (!ingredient.uri_pattern.empty()) {
      ingredients.push_back(allowed.CheckPattern(ingredient.uri_pattern));
      any_usable = true;
      continue;
    }
    // So is what a folder holds.
    const Kind kind = ingredient.is_folder ? Kind::kFolder : Kind::kCheckpoint;
    ingredients.push_back(
        check_kind(ingredient.uri, kind, "CHECKPOINT_NOT_FOUND", "CHECKPOINT_INVALID"));
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
    std::vector<std::string> uris = {data_set.uri};
    if (data_set.format == "WEBDATASET") uris = ExpandShards(data_set.uri).value_or(uris);
    for (const std::string& uri : uris) {
      checker.Check(field + ".uri", check_kind(uri, KindOf(data_set.format), "DATA_SET_NOT_FOUND",
                                               "DATA_SET_INVALID"));
    }
    if (!data_set.config_uri.empty()) {
      checker.Check(
          field + ".image_transform.config_uri",
          check_kind(data_set.config_uri, Kind::kFile, "DATA_SET_NOT_FOUND", "DATA_SET_INVALID"));
    }
    if (!data_set.classifier.has_value()) return;
    check_checkpoint(field + ".classifier.uri", data_set.classifier->uri);
  };
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    check_data_set(DataSetField(static_cast<int>(i)), spec.data_sets[i]);
  }
  if (!spec.base_uri.empty()) {
    checker.Check(
        "job.spec.model.base_uri",
        check_kind(spec.base_uri, Kind::kCheckpoint, "CHECKPOINT_NOT_FOUND", "CHECKPOINT_INVALID"));
  }
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
