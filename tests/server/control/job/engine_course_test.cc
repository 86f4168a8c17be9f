// The course of a job: the same result whoever works, in whatever order, through whatever crash.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/control/job/manifest.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

using EngineCourse = EngineTest;

TEST_F(EngineCourse, OneAndThreeWorkersGiveTheSameResultBytes) {
  std::string expected;
  for (int workers : {1, 3}) {
    for (unsigned seed : {1u, 2u, 3u}) {
      MemoryStore store;
      Server server(&store, &clock_, log_.get(), &observer_, folder_.path());
      for (int i = 0; i < workers; ++i) {
        ASSERT_TRUE(server.pool->Connect(absl::StrCat("w", i)).ok());
      }
      ASSERT_TRUE(server.engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(9)))).ok());
      ASSERT_TRUE(server.pool->RunToEnd("jobs/a", seed));
      const JobRecord job = *store.GetJob("jobs/a");
      ASSERT_EQ(job.state, JobState::kSucceeded) << job.error;
      const std::string result = Json::parse(job.report)["result"].dump();
      if (expected.empty()) expected = result;
      EXPECT_EQ(result, expected) << workers << " workers, seed " << seed;
    }
  }
}

TEST_F(EngineCourse, LeavesReportAndManifestBesideTheSoup) {
  auto server = Start(2);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(5)))).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const JobRecord job = *store_.GetJob("jobs/a");
  ASSERT_EQ(job.state, JobState::kSucceeded) << job.error;
  const Json artifacts = Json::parse(job.artifacts);
  ASSERT_EQ(artifacts.size(), 4u);
  EXPECT_EQ(artifacts.back()["file"], "manifest.json") << "a folder with a manifest is whole";
  EXPECT_EQ(artifacts[0]["file"], "soup.safetensors");
  for (size_t i : {1u, 2u, 3u}) {
    const std::string path =
        absl::StrCat(folder_ / "a", "/", artifacts[i]["file"].get<std::string>());
    const std::string text = *ReadSmallFile(path, 1 << 20);
    EXPECT_EQ(Sha256Hex(text), artifacts[i]["sha256"]);
    EXPECT_EQ(text.size(), artifacts[i]["size_bytes"]);
  }
  EXPECT_EQ(*ReadSmallFile(absl::StrCat(folder_ / "a", "/report.json"), 1 << 20),
            Report("jobs/a").dump(2) + "\n");
  EXPECT_EQ(EventKeys("jobs/a").back().substr(0, 15), "state/SUCCEEDED");
}

TEST_F(EngineCourse, TheManifestListsIngredientsInTheOrderTheyWereAdded) {
  auto server = Start(1);
  // Best first is not the spec's order, whatever the made-up scores accept.
  const Json spec = FakeSpec(FakeUris(9), {{"recipe", {{"greedy", {{"acceptance", "NOT_WORSE"}}}}},
                                           {"evaluation", {{"metric", "CROSS_ENTROPY"}}}});
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const Json manifest =
      Json::parse(*ReadSmallFile(absl::StrCat(folder_ / "a", "/manifest.json"), 1 << 20));
  const Json result = Report("jobs/a")["result"];
  Json added = Json::array();
  for (const Json& step : result["steps"]) {
    if (step["accepted"]) added.push_back(step["candidate"]);
  }
  ASSERT_FALSE(std::is_sorted(added.begin(), added.end())) << "the spec's order would pass too";
  const absl::StatusOr<SoupVerification> read = ReadManifest(manifest);
  ASSERT_TRUE(read.ok()) << read.status();
  Json listed = Json::array();
  for (const Json& used : read->task.body["write_soup"]["blend"]["ingredients"]) {
    for (const Json& ingredient : result["ingredients"]) {
      if (ingredient["digest"] == used["digest"]) listed.push_back(ingredient["display_name"]);
    }
  }
  EXPECT_EQ(listed, added);
  EXPECT_EQ(read->task.body["write_soup"]["discard"], true);
  EXPECT_EQ(read->content_digest, result["soup_digest"]);
  ASSERT_EQ(read->files.size(), 1u);
  EXPECT_EQ(read->files[0].sha256, manifest["soup"]["files"][0]["sha256"]);
  EXPECT_EQ(manifest["files"][0]["file"], "report.json");
  EXPECT_EQ(manifest["result"], result);
}

}  // namespace
}  // namespace stockpot
