// What `stockpot init` writes is a job, as it stands and with all that it offers.
#include "client/cli/example_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>

#include "client/cli/errors.h"
#include "client/cli/job_file.h"
#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

using testing::HasSubstr;

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Example : public testing::TestWithParam<std::string> {};

TEST_P(Example, IsAJobAsItStands) {
  const auto job = ParseJobFile(ExampleJob(GetParam()), JobFileFormat::kYaml, "/data");
  ASSERT_TRUE(job.ok()) << FormatError(job.status(), Style(false));
  const v1::JobSpec& spec = job->spec();
  EXPECT_EQ(spec.model().architecture_uri(), "/data/architecture.pt");
  EXPECT_EQ(spec.ingredients(0).uri_pattern(), "/data/sweep/*.safetensors");
  EXPECT_THAT(spec.evaluation().held_out().uri(), HasSubstr("/data/held_out"));
  EXPECT_TRUE(spec.recipe().has_greedy());
}

TEST_P(Example, IsAJobWithAllThatItOffers) {
  const std::string all =
      std::regex_replace(ExampleJob(GetParam()), std::regex("(^|\n)( *)#([^ \n])"), "$1$2$3");
  const auto job = ParseJobFile(all, JobFileFormat::kYaml, "/data");
  ASSERT_TRUE(job.ok()) << FormatError(job.status(), Style(false)) << all;
  const v1::JobSpec& spec = job->spec();
  EXPECT_EQ(spec.model().base_uri(), "/data/base.safetensors");
  EXPECT_EQ(spec.ingredients_size(), 2);
  EXPECT_EQ(spec.evaluation().report_sets_size(), 2);
  EXPECT_EQ(spec.comparisons_size(), 4);
  EXPECT_TRUE(spec.recipe().has_wise_ft());
  EXPECT_THAT(spec.batch_norm().data_set().uri(), HasSubstr("/data/train"));
  EXPECT_EQ(spec.limits().timeout().seconds(), 86'400);
}

INSTANTIATE_TEST_SUITE_P(Each, Example, testing::ValuesIn(ExampleKinds()),
                         [](const auto& test) { return test.param; });

TEST(Init, WritesAFileAndNeverOverOneThatIsThere) {
  ClientHarness client;
  const std::string path = client.folder / "job.yaml";
  const auto written = client.Run({"init", path});
  EXPECT_EQ(written.code, 0) << written.error;
  EXPECT_THAT(written.out, HasSubstr("stockpot run --file " + path));
  EXPECT_EQ(TextOf(path), ExampleJob("images"));
  const auto again = client.Run({"init", path, "--kind", "text"});
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.error, HasSubstr("is there already"));
  EXPECT_EQ(TextOf(path), ExampleJob("images"));
  EXPECT_EQ(client.Run({"init", path, "--kind", "text", "--force", "--quiet"}).out, "");
  EXPECT_EQ(TextOf(path), ExampleJob("text"));
  EXPECT_EQ(client.Run({"init", "-", "--kind", "tensors"}).out, ExampleJob("tensors"));
  EXPECT_EQ(client.Run({"init", client.folder / "no/such/folder"}).code, 2);
  EXPECT_EQ(client.Run({"init", "--kind", "sounds"}).code, 2);
}

}  // namespace
}  // namespace stockpot::cli
