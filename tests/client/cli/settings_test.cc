#include "client/cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/errors.h"
#include "client/cli/paths.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

using testing::HasSubstr;

v1::Job SomeJob() {
  v1::Job job;
  job.set_display_name("stays");
  job.set_priority(3);
  v1::JobSpec& spec = *job.mutable_spec();
  spec.mutable_model()->set_base_uri("/base.safetensors");
  spec.add_ingredients()->set_uri("/a.safetensors");
  spec.mutable_recipe()->mutable_greedy()->set_seed(7);
  spec.mutable_limits()->mutable_timeout()->set_seconds(60);
  return job;
}

TEST(Settings, PutSingleFieldsOverAJob) {
  v1::Job job = SomeJob();
  const absl::Status status = ApplySettings(
      {"limits.max_evaluations=40", "limits.timeout=90s", "ingredients[1].uri=b.safetensors",
       "ingredients[1].group=second", "evaluation={held_out: {uri: /held, class_subset: [3, 5]}}",
       "evaluation.held_out.class_subset[2]=8", "model.base_uri=", "recipe={uniform: {}}",
       "compute.speculation=2", "compute.speculation=4"},
      job);
  ASSERT_TRUE(status.ok()) << FormatError(status, Style(false));
  EXPECT_EQ(job.display_name(), "stays");
  EXPECT_EQ(job.priority(), 3);
  const v1::JobSpec& spec = job.spec();
  EXPECT_EQ(spec.limits().max_evaluations(), 40);
  EXPECT_EQ(spec.limits().timeout().seconds(), 90);
  EXPECT_EQ(spec.ingredients(0).uri(), "/a.safetensors");
  EXPECT_EQ(spec.ingredients(1).uri(), AbsolutePath("b.safetensors"));
  EXPECT_EQ(spec.ingredients(1).group(), "second");
  EXPECT_THAT(spec.evaluation().held_out().class_subset(), testing::ElementsAre(3, 5, 8));
  EXPECT_EQ(spec.model().base_uri(), "");
  EXPECT_TRUE(spec.recipe().has_uniform());
  EXPECT_EQ(spec.compute().speculation(), 4) << "a later one wins";
}

TEST(Settings, WhatIsWrongIsSaidAndTheJobStays) {
  const struct {
    const char* setting;
    const char* said;
  } kCases[] = {
      {"limits.max_evaluations", "FIELD=VALUE"},
      {"=3", "FIELD.FIELD"},
      {"limits..timeout=3", "FIELD.FIELD"},
      {"limits.max_evaluation=3", "limits.max_evaluation"},
      {"limits.max_evaluations=many", "limits.max_evaluations"},
      {"ingredients[2].uri=/b", "1 elements"},
      {"ingredients[x].uri=/b", "[INDEX]"},
      {"ingredients[0=/b", "[INDEX]"},
      {"ingredients[0]x=/b", "[INDEX]"},
      {"recipe[0]=/b", "is no list"},
      {"ingredients.uri=/b", "no fields below it"},
      {"limits={timeout: [", "line"},
      {"recipe.uniform={}", "recipe"},
  };
  for (const auto& [setting, said] : kCases) {
    v1::Job job = SomeJob();
    const absl::Status status = ApplySettings({setting}, job);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << setting;
    const std::string words = FormatError(status, Style(false));
    EXPECT_THAT(words, HasSubstr(said)) << setting;
    EXPECT_THAT(words, HasSubstr("--set")) << setting;
    EXPECT_EQ(job.SerializeAsString(), SomeJob().SerializeAsString()) << setting;
  }
}

}  // namespace
}  // namespace stockpot::cli
