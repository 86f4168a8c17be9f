#include "client/cli/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "client/cli/errors.h"
#include "client/cli/json_lines.h"
#include "client/cli/text.h"
#include "tests/support/temporary_folder.h"

namespace stockpot::cli {
namespace {

using testing::HasSubstr;

constexpr char kYaml[] = R"(
model:
  architecture_uri: arch.pt
  inputs:
    - {data_set_input: images, scale_to_unit: true, mean: [0.5, 0.25, 1], standard_deviation: [1, 2, 3]}
ingredients:
  - uri: checkpoints/a.safetensors
  - {uri: /elsewhere/b.safetensors, display_name: "7"}
  - uri: s3://bucket/c.safetensors
evaluation:
  held_out: {uri: ../held_out, image_transform: {resize_shorter_side: 32}}
  metric: TOP5
  report_sets:
    - {name: test, uri: test.safetensors, format: TENSORS}
recipe: {greedy: {acceptance: NOT_WORSE}}
compute: {batch_size: 128}
limits: {timeout: 90s, task_timeout: 1.5s}
)";

TEST(JobFile, ReadsTheJsonMappingOfASpecFromYaml) {
  const auto job = ParseJobFile(kYaml, JobFileFormat::kYaml, "/jobs/folder");
  ASSERT_TRUE(job.ok()) << FormatError(job.status(), Style(false));
  const v1::JobSpec& spec = job->spec();
  EXPECT_EQ(spec.model().architecture_uri(), "/jobs/folder/arch.pt");
  EXPECT_THAT(spec.model().inputs(0).mean(), testing::ElementsAre(0.5f, 0.25f, 1.0f));
  EXPECT_TRUE(spec.model().inputs(0).scale_to_unit());
  EXPECT_EQ(spec.ingredients(0).uri(), "/jobs/folder/checkpoints/a.safetensors");
  EXPECT_EQ(spec.ingredients(1).uri(), "/elsewhere/b.safetensors");
  EXPECT_EQ(spec.ingredients(1).display_name(), "7");
  EXPECT_EQ(spec.ingredients(2).uri(), "s3://bucket/c.safetensors");
  EXPECT_EQ(spec.evaluation().held_out().uri(), "/jobs/held_out");
  EXPECT_EQ(spec.evaluation().held_out().image_transform().resize_shorter_side(), 32);
  EXPECT_EQ(spec.evaluation().metric(), v1::EvaluationPlan::TOP5);
  EXPECT_EQ(spec.evaluation().report_sets(0).format(), v1::DataSet::TENSORS);
  EXPECT_EQ(spec.recipe().greedy().acceptance(), v1::GreedyRecipe::NOT_WORSE);
  EXPECT_EQ(spec.compute().batch_size(), 128);
  EXPECT_EQ(spec.limits().timeout().seconds(), 90);
  EXPECT_EQ(spec.limits().task_timeout().nanos(), 500'000'000);
}

// `stockpot get x --json > job.json; stockpot submit --file job.json` makes another job like x.
TEST(JobFile, TakesWhatGetPrintsAndLeavesOutWhatTheServerSets) {
  v1::Job job;
  job.set_name("jobs/x");
  job.set_state(v1::Job::FAILED);
  job.set_display_name("sweep");
  (*job.mutable_labels())["team"] = "vision";
  job.set_priority(3);
  job.mutable_create_time()->set_seconds(1'700'000'000);
  job.mutable_spec()->mutable_model()->set_architecture_uri("/arch.pt");
  job.mutable_report()->mutable_result()->set_chosen("greedy");
  const auto again = ParseJobFile(ToJson(job), JobFileFormat::kJson, "/");
  ASSERT_TRUE(again.ok()) << FormatError(again.status(), Style(false));
  EXPECT_EQ(again->spec().model().architecture_uri(), "/arch.pt");
  EXPECT_EQ(again->display_name(), "sweep");
  EXPECT_EQ(again->labels().at("team"), "vision");
  EXPECT_EQ(again->priority(), 3);
  EXPECT_TRUE(again->name().empty());
  EXPECT_EQ(again->state(), v1::Job::STATE_UNSPECIFIED);
  EXPECT_FALSE(again->has_report());
}

struct BadFile {
  const char* name;
  JobFileFormat format;
  const char* text;
  const char* expected;  // within the error
};

class BadJobFile : public testing::TestWithParam<BadFile> {};

TEST_P(BadJobFile, IsRefusedWithThePlace) {
  const auto job = ParseJobFile(GetParam().text, GetParam().format, "/");
  ASSERT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument) << job.status();
  EXPECT_THAT(FormatError(job.status(), Style(false)), HasSubstr(GetParam().expected));
}

constexpr JobFileFormat kYamlFile = JobFileFormat::kYaml;
constexpr JobFileFormat kJsonFile = JobFileFormat::kJson;

INSTANTIATE_TEST_SUITE_P(
    Each, BadJobFile,
    testing::Values(
        BadFile{"Syntax", kYamlFile, "model: {architecture_uri: a\ningredients: [",
                "line 2, column"},
        BadFile{"Empty", kYamlFile, "", "the file is empty"},
        BadFile{"UnknownField", kYamlFile, "model:\n  architecture: a.pt\n",
                "model.architecture (line 2, column 3): unknown field; known are architecture_uri"},
        BadFile{"UnknownFieldInList", kYamlFile, "ingredients:\n- uri: a\n- {path: b}\n",
                "ingredients[1].path (line 3, column 4): unknown field"},
        BadFile{
            "NumberForString", kYamlFile, "ingredients: [{uri: a, display_name: 7}]",
            "ingredients[0].display_name (line 1, column 24): expected a string; got 7: put it in "
            "quotes"},
        BadFile{"StringForList", kYamlFile, "ingredients: a.safetensors",
                "ingredients (line 1, column 1): expected a list; got \"a.safetensors\""},
        BadFile{"StringForBool", kYamlFile, "evaluation: {report_every_ingredient: yes}",
                "expected true or false; got \"yes\""},
        BadFile{"StringForFloat", kYamlFile, "model: {inputs: [{mean: [0.5, x]}]}",
                "model.inputs[0].mean[1] (line 1, column 31): expected a number; got \"x\""},
        BadFile{"FractionForInteger", kYamlFile, "compute: {batch_size: 2.5}",
                "compute.batch_size (line 1, column 11): expected a whole number; got 2.5"},
        BadFile{"NumberForDuration", kYamlFile, "limits: {timeout: 90}",
                "limits.timeout (line 1, column 10): expected seconds such as 90s; got 90"},
        BadFile{"HoursForDuration", kYamlFile, "limits: {timeout: 1h}",
                "expected seconds such as 90s; got \"1h\""},
        BadFile{"UnknownEnumValue", kYamlFile, "evaluation: {metric: ACCURACY}",
                "expected one of TOP1, TOP5, CROSS_ENTROPY, MEAN_PER_CLASS"},
        BadFile{"TwoRecipes", kYamlFile, "recipe: {greedy: {}, uniform: {}}",
                "recipe.uniform (line 1, column 22): excludes 'greedy': give one of them"},
        BadFile{"EmptyRecipe", kYamlFile, "recipe:\n  uniform:\n",
                "recipe.uniform (line 2, column 3): is empty; write uniform: {}"},
        BadFile{"DuplicateKey", kYamlFile, "model: {}\nmodel: {}\n",
                "line 2, column 1: 'model' is given twice"},
        BadFile{"SecondDocument", kYamlFile, "model: {}\n---\nmodel: {}\n", "one job a file"},
        BadFile{"CyclicAlias", kYamlFile, "model: &a {inputs: *a}", "nested too deep"},
        BadFile{"JsonSyntax", kJsonFile, "{\n \"model\": }", "line 2, column 11"},
        BadFile{"JsonUnknownField", kJsonFile, R"({"spec": {"modle": {}}})",
                "spec.modle (line 1, column 11): unknown field; known are model"},
        BadFile{"JsonDuplicateKey", kJsonFile, R"({"model": {}, "model": {}})",
                "'model' is given twice"},
        BadFile{"JsonNotAnObject", kJsonFile, "[1]",
                "the file (line 1, column 1): expected an object"}),
    [](const auto& test) { return test.param.name; });

TEST(JobFile, NamesEveryWrongFieldAtOnce) {
  const auto job = ParseJobFile("{a: 1, b: 2, recipe: 3}", JobFileFormat::kYaml, "/");
  EXPECT_THAT(FormatError(job.status(), Style(false)),
              HasSubstr("error: 3 fields are wrong\n  a "));
}

TEST(JobFile, TakesRelativePathsFromTheFilesFolder) {
  TemporaryFolder folder;
  std::ofstream(folder / "job.json") << R"({"ingredients": [{"uri": "a"}]})";
  const auto job = ReadJobFile(folder / "job.json");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec().ingredients(0).uri(), folder / "a");
  EXPECT_THAT(std::string(ReadJobFile(folder / "none.yaml").status().message()),
              HasSubstr(folder / "none.yaml"));
}

// Gives every string below `message` the text "x", and every list one element.
void FillStrings(google::protobuf::Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor* field = type.field(i);
    if (field->is_map()) continue;
    if (field->message_type() != nullptr) {
      FillStrings(field->is_repeated() ? *reflection.AddMessage(&message, field)
                                       : *reflection.MutableMessage(&message, field));
    } else if (field->type() == google::protobuf::FieldDescriptor::TYPE_STRING) {
      field->is_repeated() ? reflection.AddString(&message, field, "x")
                           : reflection.SetString(&message, field, "x");
    }
  }
}

// Every string of a message, by its JSON path.
std::map<std::string, std::string> StringsOf(const google::protobuf::Message& message) {
  std::map<std::string, std::string> found;
  const nlohmann::json flat = nlohmann::json::parse(ToJson(message)).flatten();
  for (const auto& [path, value] : flat.items()) {
    if (value.is_string()) found[path] = value.get<std::string>();
  }
  return found;
}

TEST(JobFile, MakesEveryUriOfTheApiAbsoluteAndNothingElse) {
  v1::JobSpec spec;
  FillStrings(spec);
  const auto job = ParseJobFile(ToJson(spec), JobFileFormat::kJson, "/folder");
  ASSERT_TRUE(job.ok()) << FormatError(job.status(), Style(false));
  const std::map<std::string, std::string> before = StringsOf(spec);
  const std::map<std::string, std::string> after = StringsOf(job->spec());
  std::set<std::string> changed;
  for (const auto& [path, text] : before) {
    if (after.at(path) == text) continue;
    EXPECT_EQ(after.at(path), "/folder/x") << path;
    changed.insert(path);
  }
  for (const auto& [path, text] : before) {
    const bool is_place = path.find("uri", path.rfind('/')) != std::string::npos;
    EXPECT_EQ(is_place, changed.count(path) == 1) << path;
  }
  for (const char* path :
       {"/model/base_uri", "/batch_norm/data_set/uri", "/evaluation/held_out/classifier/uri",
        "/evaluation/report_sets/0/image_transform/config_uri", "/ingredients/0/uri_pattern"}) {
    EXPECT_EQ(changed.count(path), 1u) << path;
  }
}

}  // namespace
}  // namespace stockpot::cli
