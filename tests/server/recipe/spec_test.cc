// Reading a job's specification: defaults, and every violation with its path.
#include "server/recipe/spec.h"

#include <gtest/gtest.h>

#include "server/base/status.h"
#include "tests/support/fakes/fake_results.h"

namespace stockpot {
namespace {

TEST(JobSpec, FillsInDefaults) {
  const absl::StatusOr<JobSpec> spec = ParseJobSpec(FakeSpec({"/a/m.pt", "/b/n.pt"}), "spec", {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->metric, Metric::kTop1);
  EXPECT_EQ(spec->recipe.kind, RecipeKind::kGreedy);
  EXPECT_EQ(spec->recipe.acceptance, Acceptance::kStrictImprovement);
  EXPECT_EQ(spec->dtype, "STORED");
  EXPECT_EQ(spec->batch_size, 250);
  EXPECT_FALSE(spec->skip_bad_ingredients);
  EXPECT_EQ(spec->ingredients[0].display_name, "m.pt");
  EXPECT_EQ(spec->data_sets[0].name, "held_out");
  EXPECT_EQ(spec->data_sets[0].format, "TENSORS");
}

TEST(JobSpec, EqualLastPartsAreToldApartByTheWholeUri) {
  const absl::StatusOr<JobSpec> spec = ParseJobSpec(
      FakeSpec({"/run_0/model.pt", "/run_1/model.pt", "/x/other.pt", "/y/"}), "spec", {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->ingredients[0].display_name, "/run_0/model.pt");
  EXPECT_EQ(spec->ingredients[1].display_name, "/run_1/model.pt");
  EXPECT_EQ(spec->ingredients[2].display_name, "other.pt");
  EXPECT_EQ(spec->ingredients[3].display_name, "/y/");
}

TEST(JobSpec, ReadsTheJsonMappingsSpellings) {
  Json extra = {{"compute", {{"batch_size", "16"}, {"speculation", 3}}},
                {"on_bad_ingredient", "ON_BAD_INGREDIENT_UNSPECIFIED"},
                {"evaluation", {{"metric", "METRIC_UNSPECIFIED"}}}};
  const absl::StatusOr<JobSpec> spec = ParseJobSpec(FakeSpec({"/m"}, extra), "spec", {});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->batch_size, 16);
  EXPECT_EQ(spec->speculation, 3);
  EXPECT_EQ(spec->precision, Precision::kFloat32);
}

struct SpecCase {
  const char* field;
  Json extra;  // merged into a good spec; null removes
};

TEST(JobSpec, NamesTheFieldAtFault) {
  auto held_out = [](Json fields) {
    Json data_set = {{"uri", "/data/images"}};
    data_set.merge_patch(fields);
    return Json{{"evaluation", {{"held_out", data_set}}}};
  };
  auto inputs = [](Json binding) { return Json{{"model", {{"inputs", Json::array({binding})}}}}; };
  const SpecCase cases[] = {
      {"spec.model.architecture_uri", {{"model", nullptr}}},
      {"spec.model.architecture_uri", {{"model", {{"architecture_uri", 7}}}}},
      {"spec.model.architecture_uri", {{"model", {{"architecture_uri", std::string(5000, 'a')}}}}},
      {"spec.model.architecture_uri", {{"model", {{"architecture_uri", std::string("/a\0b", 4)}}}}},
      {"spec.model.inputs[0].standard_deviation", inputs({{"mean", {0.5}}})},
      {"spec.model.inputs[0].standard_deviation",
       inputs({{"mean", {0.5}}, {"standard_deviation", {0}}})},
      {"spec.model.inputs[0].standard_deviation",
       inputs({{"mean", {0.5}}, {"standard_deviation", {"NaN"}}})},
      {"spec.model.inputs[0].mean", inputs({{"mean", {"Infinity"}}, {"standard_deviation", {1}}})},
      {"spec.ingredients", {{"ingredients", nullptr}}},
      {"spec.ingredients", {{"ingredients", "x"}}},
      {"spec.ingredients[0].uri", {{"ingredients", Json::array({Json::object()})}}},
      {"spec.ingredients[1].display_name",
       {{"ingredients", Json::array({{{"uri", "/m"}}, {{"uri", "/m"}}})}}},
      {"spec.ingredients[1].display_name",
       {{"ingredients", Json::array({{{"uri", "/a"}, {"display_name", "x"}},
                                     {{"uri", "/b"}, {"display_name", "x"}}})}}},
      {"spec.ingredients[0].display_name",
       {{"ingredients", Json::array({{{"uri", "/a"}, {"display_name", std::string(201, 'x')}}})}}},
      {"spec.evaluation.held_out", {{"evaluation", {{"held_out", nullptr}}}}},
      {"spec.evaluation.held_out.uri", {{"evaluation", {{"held_out", {{"uri", ""}}}}}}},
      {"spec.evaluation.held_out.name", held_out({{"name", "Upper"}})},
      {"spec.evaluation.held_out.format", held_out({{"format", "HDF5"}})},
      {"spec.evaluation.held_out.input_tensors", held_out({{"input_tensors", {"x"}}})},
      {"spec.evaluation.held_out.image_transform",
       held_out({{"format", "TENSORS"}, {"image_transform", {{"crop_height", 3}}}})},
      {"spec.evaluation.held_out.class_names",
       held_out({{"format", "TENSORS"}, {"class_names", {"a"}}})},
      {"spec.evaluation.held_out.image_transform.crop_width",
       held_out({{"image_transform", {{"crop_height", 32}}}})},
      {"spec.evaluation.held_out.image_transform.resize_height",
       held_out({{"image_transform", {{"resize_width", 32}}}})},
      {"spec.evaluation.held_out.image_transform.resize_shorter_side",
       held_out({{"image_transform",
                  {{"resize_shorter_side", 8}, {"resize_height", 8}, {"resize_width", 8}}}})},
      {"spec.evaluation.held_out.image_transform.resize_shorter_side",
       held_out({{"image_transform", {{"resize_shorter_side", -1}}}})},
      {"spec.evaluation.held_out.image_transform.interpolation",
       held_out({{"image_transform", {{"interpolation", "NEAREST"}}}})},
      {"spec.output.format", {{"output", {{"format", "GGUF"}}}}},
      {"spec.output.max_shard_bytes", {{"output", {{"max_shard_bytes", 10}}}}},
      {"spec.output.output_uri", {{"output", {{"output_uri", std::string(5000, 'a')}}}}},
      {"spec.limits.timeout", {{"limits", {{"timeout", "0s"}}}}},
      {"spec.limits.task_timeout", {{"limits", {{"task_timeout", "soon"}}}}},
      {"spec.limits.max_task_time", {{"limits", {{"max_task_time", "0s"}}}}},
      {"spec.limits.max_worker_time", {{"limits", {{"max_worker_time", "-3s"}}}}},
      {"spec.limits.max_evaluations", {{"limits", {{"max_evaluations", -1}}}}},
      {"spec.evaluation.metric", {{"evaluation", {{"metric", "F1"}}}}},
      {"spec.evaluation.report_sets[0].name",
       {{"evaluation", {{"report_sets", Json::array({{{"uri", "/t"}}})}}}}},
      {"spec.evaluation.report_sets[0].name",
       {{"evaluation", {{"report_sets", Json::array({{{"uri", "/t"}, {"name", "held_out"}}})}}}}},
      {"spec.recipe.uniform",
       {{"recipe", {{"greedy", Json::object()}, {"uniform", Json::object()}}}}},
      {"spec.recipe.logit_ensemble", {{"recipe", {{"logit_ensemble", Json::object()}}}}},
      {"spec.recipe.wise_ft", {{"recipe", {{"wise_ft", Json::object()}}}}},
      {"spec.recipe.greedy.repeats", {{"recipe", {{"greedy", {{"repeats", 2}}}}}}},
      {"spec.recipe.greedy.ensemble_ranking",
       {{"recipe", {{"greedy", {{"order", "RANDOM"}, {"ensemble_ranking", "ORDER_CANDIDATES"}}}}}}},
      {"spec.recipe.learned.learning_rate", {{"recipe", {{"learned", {{"learning_rate", -1}}}}}}},
      {"spec.model.tensors_from_base", {{"model", {{"tensors_from_base", {"head.*"}}}}}},
      {"spec.evaluation.metric", {{"evaluation", {{"metric", "TOP1"}, {"problem", "REGRESSION"}}}}},
      {"spec.evaluation.held_out.role", held_out({{"role", "FINAL"}})},
      {"spec.evaluation.held_out.class_subset", held_out({{"class_subset", {1, 1}}})},
      {"spec.evaluation.held_out.classifier.uri", held_out({{"classifier", Json::object()}})},
      {"spec.evaluation.confidence.level", {{"evaluation", {{"confidence", {{"level", 1}}}}}}},
      {"spec.analysis.angles", {{"analysis", {{"angles", true}}}}},
      {"spec.analysis.pairs.data_set", {{"analysis", {{"pairs", {{"data_set", "x"}}}}}}},
      {"spec.analysis.landscape.first",
       {{"analysis", {{"landscape", {{"first", "x"}, {"second", "y"}, {"third", "z"}}}}}}},
      {"spec.batch_norm.data_set.uri", {{"batch_norm", Json::object()}}},
      {"spec.recipe.greedy.acceptance", {{"recipe", {{"greedy", {{"acceptance", "MAYBE"}}}}}}},
      {"spec.output.dtype", {{"output", {{"dtype", "INT8"}}}}},
      {"spec.compute.batch_size", {{"compute", {{"batch_size", -1}}}}},
      {"spec.compute.batch_size", {{"compute", {{"batch_size", 65537}}}}},
      {"spec.compute.batch_size", {{"compute", {{"batch_size", 1.5}}}}},
      {"spec.compute.precision", {{"compute", {{"precision", "FLOAT64"}}}}},
      {"spec.compute.speculation", {{"compute", {{"speculation", -1}}}}},
      {"spec.on_bad_ingredient", {{"on_bad_ingredient", "IGNORE"}}},
  };
  for (const SpecCase& c : cases) {
    const absl::Status status = ParseJobSpec(FakeSpec({"/m"}, c.extra), "spec", {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field << c.extra;
    const ErrorFacts facts = GetErrorFacts(status);
    EXPECT_EQ(facts.reason, "INVALID_FIELD");
    bool named = false;
    for (const FieldViolation& violation : facts.violations) named |= violation.field == c.field;
    EXPECT_TRUE(named) << c.field << " in " << status << " of " << c.extra;
  }
}

TEST(JobSpec, WeightsAreForMeansOverExamples) {
  const Json weighted = {{"uri", "/d.safetensors"}, {"weight_tensor", "w"}};
  const Json held_out = {{"evaluation", {{"held_out", weighted}}}};
  const Json report_set = {
      {"evaluation",
       {{"report_sets",
         Json::array({{{"uri", "/d.npz"}, {"name", "a"}, {"weight_tensor", "w"}}})}}}};
  const std::pair<Json, const char*> cases[] = {
      {{{"evaluation", {{"metric", "TOP5"}}}}, ""},
      {{{"recipe", {{"uniform", Json::object()}}}}, ""},
      {{{"evaluation", {{"metric", "MEAN_PER_CLASS"}}}}, "spec.evaluation.metric"},
      {{{"evaluation", {{"metric", "PERPLEXITY"}, {"problem", "LANGUAGE_MODEL"}}}}, ""},
      {{{"analysis", {{"calibration", true}}}}, "spec.analysis"},
      {{{"recipe", {{"learned", Json::object()}}}}, "spec.recipe"},
      {{{"comparisons", Json::array({{{"logit_ensemble", Json::object()}}})}}, "spec.comparisons"},
  };
  for (const auto& [fields, violated] : cases) {
    SCOPED_TRACE(DumpJson(fields));
    Json extra = held_out;
    extra.merge_patch(fields);
    const auto spec = ParseJobSpec(FakeSpec({"/m"}, extra), "spec", {});
    EXPECT_EQ(spec.ok(), violated[0] == '\0') << spec.status();
    if (spec.ok()) continue;
    EXPECT_EQ(GetErrorFacts(spec.status()).violations[0].field, violated);
  }
  // Nothing is chosen on a report set.
  Json extra = report_set;
  extra["recipe"] = {{"learned", Json::object()}};
  EXPECT_TRUE(ParseJobSpec(FakeSpec({"/m"}, extra), "spec", {}).ok());
  extra["analysis"] = {{"calibration", true}};
  EXPECT_FALSE(ParseJobSpec(FakeSpec({"/m"}, extra), "spec", {}).ok());
}

TEST(JobSpec, TellsEveryViolationAtOnce) {
  const Json extra = {{"model", nullptr},
                      {"output", {{"dtype", "INT8"}}},
                      {"compute", {{"batch_size", -1}, {"speculation", -1}}}};
  const absl::Status status = ParseJobSpec(FakeSpec({"/m"}, extra), "spec", {}).status();
  EXPECT_EQ(GetErrorFacts(status).violations.size(), 4u) << status;
}

TEST(JobSpec, RefusesWhatIsNoObject) {
  for (const Json& json : {Json(), Json(7), Json::array(), Json("x")}) {
    EXPECT_FALSE(ParseJobSpec(json, "spec", {}).ok());
  }
}

TEST(JobSpec, KeepsItsLimits) {
  SpecLimits limits;
  limits.max_ingredients = 2;
  limits.max_report_sets = 0;
  const absl::Status status = ParseJobSpec(FakeSpec({"/a", "/b", "/c"}), "spec", limits).status();
  EXPECT_EQ(GetErrorFacts(status).violations.size(), 2u) << status;
}

TEST(DataSetSpec, RoundTripsThroughItsJson) {
  const Json json = {
      {"uri", "/d"},
      {"name", "x"},
      {"class_names", {"a", "b"}},
      {"class_subset", {3, 1}},
      {"classifier", {{"uri", "/heads"}, {"scale", 100}, {"normalize_features", true}}},
      {"image_transform",
       {{"resize_shorter_side", 40},
        {"crop_height", 32},
        {"crop_width", 32},
        {"interpolation", "BILINEAR"},
        {"no_antialias", true}}}};
  const absl::StatusOr<DataSetSpec> spec = ParseDataSetSpec(json, "data_set");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const absl::StatusOr<DataSetSpec> again = ParseDataSetSpec(ToJson(*spec), "data_set");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ToJson(*again), ToJson(*spec));
  EXPECT_EQ(again->interpolation, "BILINEAR");
  EXPECT_TRUE(again->no_antialias);
  EXPECT_EQ(again->class_subset, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(again->classifier->scale, 100);
}

// Tasks of specs that use no new field have the keys that they always had.
TEST(DataSetSpec, SaysNothingOfFieldsThatAreNotUsed) {
  const auto folder = ParseDataSetSpec({{"uri", "/d"}, {"label_tensor", "ignored"}}, "data_set");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(DumpJson(ToJson(*folder)),
            R"({"class_names":[],"format":"IMAGE_FOLDER","image_transform":{"crop_height":0,)"
            R"("crop_width":0,"interpolation":"BICUBIC","no_antialias":false,"resize_height":0,)"
            R"("resize_shorter_side":0,"resize_width":0},"name":"data_set","uri":"/d"})");
  const auto tensors = ParseDataSetSpec({{"uri", "/d.safetensors"}}, "data_set");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(DumpJson(ToJson(*tensors)),
            R"({"format":"TENSORS","input_tensors":[],"label_tensor":"labels","name":"data_set",)"
            R"("uri":"/d.safetensors"})");
}

TEST(DataSetSpec, EveryFormatRoundTrips) {
  const std::pair<Json, const char*> cases[] = {
      {{{"uri", "/d.parquet"},
        {"image_column", "img"},
        {"label_tensor", "fine_label"},
        {"split", "test"},
        {"subset", {{"fraction", 0.02}, {"seed", "18446744073709551615"}, {"complement", true}}},
        {"limit", "5"},
        {"label_map", {{"a", "b"}, {"c", ""}}},
        {"image_transform", {{"preset", "CLIP"}}}},
       "PARQUET"},
      {{{"uri", "/d"}, {"format", "PARQUET"}, {"input_tensors", {"input_ids"}}}, "PARQUET"},
      {{{"uri", "/d-{0..3}.tar"}, {"image_transform", {{"crop_begin", "DOWN"}}}}, "WEBDATASET"},
      {{{"uri", "/d.npz"}, {"subset", {{"count", 3}}}}, "NUMPY"},
      {{{"uri", "/d.csv"}, {"class_names", {"a"}}, {"weight_tensor", "w"}}, "CSV"},
      {{{"uri", "/d.tar"}, {"weight_tensor", "json:w"}}, "WEBDATASET"},
      {{{"uri", "/d.jsonl"}, {"image_transform", {{"config_uri", "/c.json"}}}}, "JSONL"},
      {{{"uri", "/d.jsonl"},
        {"input_tensors", {"input_ids"}},
        {"pad_values", {{"input_ids", 1}, {"other", -0.5}}},
        {"weight_tensor", "w"}},
       "JSONL"},
      {{{"uri", "/d.safetensors"}, {"weight_tensor", "w"}}, "TENSORS"}};
  for (const auto& [json, format] : cases) {
    const absl::StatusOr<DataSetSpec> spec = ParseDataSetSpec(json, "data_set");
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->format, format);
    const absl::StatusOr<DataSetSpec> again = ParseDataSetSpec(ToJson(*spec), "data_set");
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(ToJson(*again), ToJson(*spec));
    for (const auto& [key, value] : json.items()) EXPECT_TRUE(ToJson(*spec).contains(key)) << key;
  }
}

TEST(DataSetSpec, RefusesWhatContradictsItself) {
  const std::pair<Json, const char*> cases[] = {
      {{{"uri", "/d"}, {"subset", Json::object()}}, "data_set.subset.fraction"},
      {{{"uri", "/d"}, {"subset", {{"fraction", 1}}}}, "data_set.subset.fraction"},
      {{{"uri", "/d"}, {"subset", {{"fraction", 0.5}, {"count", 3}}}}, "data_set.subset.fraction"},
      {{{"uri", "/d"}, {"subset", {{"count", -1}}}}, "data_set.subset.count"},
      {{{"uri", "/d"}, {"limit", -1}}, "data_set.limit"},
      {{{"uri", "/d"}, {"split", "test"}}, "data_set.split"},
      {{{"uri", "/d"}, {"image_column", "x"}}, "data_set.image_column"},
      {{{"uri", "/d.tar"}, {"input_tensors", {"x"}}}, "data_set.input_tensors"},
      {{{"uri", "/d.npz"}, {"class_names", {"x"}}}, "data_set.class_names"},
      {{{"uri", "/d.npz"}, {"pad_values", {{"x", 1}}}}, "data_set.pad_values"},
      {{{"uri", "/d.jsonl"}, {"pad_values", {{"x", "y"}}}}, "data_set.pad_values.x"},
      {{{"uri", "/d"}, {"weight_tensor", "x"}}, "data_set.weight_tensor"},
      {{{"uri", "/d.npz"}, {"image_transform", {{"preset", "CLIP"}}}}, "data_set.image_transform"},
      {{{"uri", "/d"},
        {"image_transform", {{"preset", "CLIP"}, {"crop_height", 3}, {"crop_width", 3}}}},
       "data_set.image_transform.crop_height"},
      {{{"uri", "/d"}, {"image_transform", {{"preset", "CLIP"}, {"config_uri", "/c"}}}},
       "data_set.image_transform.preset"},
      {{{"uri", "/d"}, {"image_transform", {{"preset", "VGG"}}}},
       "data_set.image_transform.preset"}};
  for (const auto& [json, field] : cases) {
    const absl::Status status = ParseDataSetSpec(json, "data_set").status();
    const auto violations = GetErrorFacts(status).violations;
    ASSERT_FALSE(violations.empty()) << json;
    EXPECT_EQ(violations[0].field, field) << status;
  }
}

TEST(JobSpec, NormalisesAsTheHeldOutSetOnlyWhereThatSaysHow) {
  Json json = FakeSpec(
      {"/m"},
      {{"model",
        {{"architecture_uri", "/arch.pt"}, {"inputs", {{{"normalize_as_held_out", true}}}}}}});
  EXPECT_EQ(GetErrorFacts(ParseJobSpec(json, "spec", {}).status()).violations.size(), 1u);
  json["evaluation"]["held_out"] = {{"uri", "/d"}, {"image_transform", {{"preset", "TIMM"}}}};
  EXPECT_TRUE(ParseJobSpec(json, "spec", {}).ok()) << ParseJobSpec(json, "spec", {}).status();
  json["model"]["inputs"][0]["scale_to_unit"] = true;
  EXPECT_EQ(GetErrorFacts(ParseJobSpec(json, "spec", {}).status()).violations.size(), 1u);
}

}  // namespace
}  // namespace stockpot
