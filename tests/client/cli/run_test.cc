// Command lines from end to end against a scripted server: watching, errors, exit codes.
#include "client/cli/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/cli/source_kind.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/client/cli/fake_soup_service.h"
#include "tests/support/temporary_folder.h"

namespace stockpot::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const grpc::Status kLost(grpc::StatusCode::UNAVAILABLE, "lost");

v1::JobEvent Event(int64_t sequence, const std::string& message) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.mutable_state_changed()->set_state(v1::Job::RUNNING);
  event.mutable_state_changed()->set_message(message);
  return event;
}

v1::JobEvent ProgressEvent() {
  v1::JobEvent event;
  event.mutable_progress()->set_tasks_total(3);
  return event;
}

// Nothing ever comes out of it: looking for what kind of a source it is must not wait.
TEST(Inspect, APipeIsNotWaitedFor) {
  const TemporaryFolder folder;
  for (const char* name : {"pipe.pt", "pipe.safetensors"}) {
    ASSERT_EQ(mkfifo((folder / name).c_str(), 0600), 0);
    EXPECT_EQ(GuessSourceKind(folder / name), SourceKind::kCheckpoint);
  }
}

TEST(Watch, GoesOnAfterTheLastSequenceWhenTheConnectionIsLost) {
  ClientHarness client;
  client.service.streams = {{{Event(1, "one"), Event(2, "two"), ProgressEvent()}, kLost},
                            {{}, kLost},
                            {{Event(3, "three")}, grpc::Status::OK}};
  const auto outcome = client.Run({"watch", "x"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_EQ(outcome.out, "RUNNING: one\nRUNNING: two\nRUNNING: three\n");
  EXPECT_THAT(client.service.watched_after(), ElementsAre(0, 2, 2));
  EXPECT_EQ(outcome.error, "connection lost (lost); trying again for up to 5m\n") << "one note";
  ASSERT_EQ(client.waits.size(), 2u);
  EXPECT_LE(client.waits[0], absl::Milliseconds(250));
}

TEST(Watch, VerboseTellsOfEachCall) {
  ClientHarness client;
  client.service.streams = {{{Event(1, "one")}, grpc::Status::OK}};
  const auto outcome = client.Run({"watch", "x", "--verbose"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_EQ(outcome.out, "RUNNING: one\n") << "as without";
  EXPECT_THAT(outcome.error, testing::ContainsRegex("GetJob: OK after [0-9]+ ms, request "));
  EXPECT_THAT(outcome.error, HasSubstr("WatchJob: OK after "));
  EXPECT_EQ(client.Run({"watch", "x", "--verbose", "--quiet"}).code, 2);
}

TEST(Watch, GivesUpWhenTheServerStaysAway) {
  ClientHarness client;
  client.service.streams = {{{Event(1, "one")}, kLost}};
  const auto outcome = client.Run({"watch", "x", "--reconnect-timeout", "60"});
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.error, HasSubstr("error: cannot reach the server at unix:"));
  absl::Duration waited;
  for (const absl::Duration wait : client.waits) waited += wait;
  EXPECT_EQ(waited, absl::Minutes(1));
}

TEST(Watch, RefusesAGapInTheSequence) {
  ClientHarness client;
  client.service.streams = {{{Event(1, "one"), Event(3, "three")}, grpc::Status::OK}};
  const auto outcome = client.Run({"watch", "x"});
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.error, HasSubstr("the server sent event 3 after event 1"));
}

TEST(Watch, AJobThatHasEndedAlreadyIsReported) {
  ClientHarness client;
  client.service.streams = {{{}, {grpc::StatusCode::OUT_OF_RANGE, "after the end"}}};
  EXPECT_EQ(client.Run({"watch", "x", "--after", "7"}).code, 0);
  EXPECT_THAT(client.service.watched_after(), ElementsAre(7));
}

TEST(Watch, CtrlCLeavesTheJobRunningAndSaysHowToCancelIt) {
  ClientHarness client;
  client.service.job.set_state(v1::Job::RUNNING);
  client.service.streams = {
      {{Event(1, "one")}, grpc::Status::OK, [&] { client.interruption.Trigger(); }}};
  const auto outcome = client.Run({"watch", "x"});
  EXPECT_EQ(outcome.code, 130);
  EXPECT_THAT(outcome.error, HasSubstr("stockpot cancel x"));
}

TEST(Watch, ExitCodesSayHowTheJobEnded) {
  const std::pair<v1::Job::State, int> cases[] = {
      {v1::Job::SUCCEEDED, 0}, {v1::Job::FAILED, 1}, {v1::Job::CANCELLED, 3}};
  for (const auto& [state, code] : cases) {
    ClientHarness client;
    client.service.job.set_state(state);
    client.service.job.mutable_error()->set_code(3);
    client.service.job.mutable_error()->set_message("checkpoint /c holds NaN");
    client.service.streams = {{{}, grpc::Status::OK}};
    const auto outcome = client.Run({"watch", "jobs/x"});
    EXPECT_EQ(outcome.code, code) << v1::Job::State_Name(state);
    if (code == 1) {
      EXPECT_THAT(outcome.error, HasSubstr("error: jobs/x failed: checkpoint /c holds NaN\n"));
    }
  }
}

TEST(Submit, WatchesAndDownloadsInOneCommand) {
  ClientHarness client;
  client.service.AddFile("soup.safetensors", "soup");
  client.service.streams = {{{Event(1, "one")}, grpc::Status::OK}};
  const auto outcome =
      client.Run({"submit", "--architecture", "/a", "--out", client.folder / "out"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_EQ(outcome.out,
            "jobs/x\nRUNNING: one\nsaved " + (client.folder / "out") + "/soup.safetensors (4 B)\n");
}

TEST(Submit, JsonIsOneObjectALine) {
  ClientHarness client;
  client.service.AddFile("soup.safetensors", "soup");
  client.service.streams = {{{Event(1, "one"), ProgressEvent()}, grpc::Status::OK}};
  const auto outcome =
      client.Run({"submit", "--architecture", "/a", "--json", "--out", client.folder / "out"});
  std::vector<std::string> keys;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line);
    ASSERT_EQ(object.size(), 1u) << line;
    keys.push_back(object.begin().key());
  }
  EXPECT_THAT(keys, ElementsAre("job", "event", "event", "job", "file"));
}

TEST(Submit, QuietPrintsTheNameOnly) {
  ClientHarness client;
  EXPECT_EQ(client.Run({"submit", "--architecture", "/a", "--quiet"}).out, "jobs/x\n");
  EXPECT_EQ(client.Run({"submit", "--architecture", "/a", "--validate-only"}).out,
            "valid: nothing was submitted\n");
}

TEST(Errors, NameFieldsReasonMetadataAndWhatToDo) {
  google::rpc::Status details;
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("ingredients[3].uri");
  violation->set_description("must be an absolute path");
  details.add_details()->PackFrom(bad_request);
  google::rpc::ErrorInfo info;
  info.set_reason("CHECKPOINT_MISMATCH");
  (*info.mutable_metadata())["tensor"] = "fc.weight";
  details.add_details()->PackFrom(info);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(3);
  details.add_details()->PackFrom(retry);

  ClientHarness client;
  client.service.create_status = {grpc::StatusCode::INVALID_ARGUMENT, "one field is wrong",
                                  details.SerializeAsString()};
  const auto outcome = client.Run({"submit", "--architecture", "/a"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.error,
            "error: one field is wrong\n"
            "  ingredients[3].uri: must be an absolute path\n"
            "  tensor: fc.weight\n"
            "  reason: CHECKPOINT_MISMATCH\n"
            "  what to do: leave out the checkpoint that does not fit\n"
            "  try again in: 3s\n");
}

TEST(Errors, DetailsThatAreNotDetailsDoNoHarm) {
  ClientHarness client;
  client.service.create_status = {grpc::StatusCode::INTERNAL, "oops\nat line\t3", "\xff\xff\xff"};
  const auto outcome = client.Run({"submit", "--architecture", "/a"});
  EXPECT_EQ(outcome.code, 5);
  EXPECT_EQ(outcome.error, "error: oops\n  at line?3\n");
}

TEST(Run, ExitCodesOfUsageAndUnreachableServers) {
  ClientHarness client;
  EXPECT_EQ(client.Run({}).code, 2);
  EXPECT_EQ(client.Run({"nonsense"}).code, 2);
  EXPECT_EQ(client.Run({"watch"}).code, 2);
  EXPECT_EQ(client.Run({"get", "unknown"}).code, 2);
  EXPECT_EQ(client.Run({"get", "x", "--server", "unix:" + (client.folder / "none")}).code, 4);
  EXPECT_EQ(client.Run({"--version"}).code, 0);
  const auto help = client.Run({"submit", "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("Exit codes: 0 success"), HasSubstr("--ingredients")));
}

TEST(List, FollowsPagesUpToTheLimit) {
  ClientHarness client;
  const auto outcome = client.Run({"list", "--state", "succeeded", "--label", "team=vision"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("NAME"), HasSubstr("x     SUCCEEDED")));
  ASSERT_EQ(client.service.listed().size(), 2u);
  EXPECT_EQ(client.service.listed()[0].filter(), "state=SUCCEEDED AND labels.team=vision");
  EXPECT_EQ(client.service.listed()[1].page_token(), "second");
  EXPECT_EQ(client.Run({"list", "--limit", "1", "--quiet"}).out, "jobs/x\n");
  EXPECT_EQ(client.service.listed().size(), 3u);
}

TEST(List, TakesAnOrder) {
  ClientHarness client;
  EXPECT_EQ(client.Run({"list", "--order-by", "priority desc"}).code, 0);
  EXPECT_EQ(client.service.listed().at(1).order_by(), "priority desc") << "on every page";
  EXPECT_EQ(client.Run({"list", "--order-by", "size"}).code, 2);
}

TEST(Run, EveryCallSaysWhoAsks) {
  ClientHarness client;
  client.client = "ci.bot@lab-7";
  client.service.AddFile("soup.safetensors", "soup");
  client.service.streams = {{{Event(1, "one")}, grpc::Status::OK}};
  // CreateJob, WatchJob, GetJob, DownloadArtifact.
  const auto outcome =
      client.Run({"submit", "--architecture", "/a", "--out", client.folder / "out"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_THAT(client.service.clients(),
              AllOf(testing::SizeIs(testing::Ge(4u)), testing::Each("ci.bot@lab-7")));
  client.Run({"get", "x", "--client", "me"});
  EXPECT_EQ(client.service.clients().back(), "me") << "the flag wins";
  client.client = "";
  client.Run({"get", "x"});
  EXPECT_EQ(client.service.clients().back(), "");
  const size_t calls = client.service.clients().size();
  for (const char* name : {"two words", "a\nb", "é"}) {
    const auto refused = client.Run({"get", "x", "--client", name});
    EXPECT_EQ(refused.code, 2) << name;
    EXPECT_THAT(refused.error, HasSubstr("STOCKPOT_CLIENT")) << name;
  }
  EXPECT_EQ(client.service.clients().size(), calls) << "no call was made";
}

TEST(Run, PassesTheTraceOnThatItIsAPartOf) {
  ClientHarness client;
  client.service.AddFile("soup.safetensors", "soup");
  client.service.streams = {{{Event(1, "one")}, grpc::Status::OK}};
  client.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto outcome =
      client.Run({"submit", "--architecture", "/a", "--out", client.folder / "out"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_THAT(client.service.traces(),
              AllOf(testing::SizeIs(testing::Ge(4u)), testing::Each(client.traceparent)));
  for (const std::string& text : {std::string(), std::string("two words"), std::string("a\nb"),
                                  std::string("é"), std::string(257, '0')}) {
    client.traceparent = text;
    EXPECT_EQ(client.Run({"get", "x"}).code, 0) << text;
    EXPECT_EQ(client.service.traces().back(), "") << text;
  }
}

class Verify : public testing::Test {
 protected:
  Verify() {
    client_.service.verification.set_expected_digest("d1");
    client_.service.verification.set_found_digest("d1");
    client_.service.verification.set_identical(true);
    auto* file = client_.service.verification.add_files();
    file->set_file("soup.safetensors");
    file->set_expected_sha256("s1");
    file->set_found_sha256("s1");
  }
  ClientHarness client_;
};

TEST_F(Verify, SaysThatASoupIsIdentical) {
  const auto outcome = client_.Run({"verify", "x"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_EQ(outcome.out,
            "identical: every weight and every file, bit for bit\n"
            "  soup.safetensors: identical\n");
  EXPECT_EQ(client_.service.verified().at(0).name(), "jobs/x");
  EXPECT_EQ(client_.Run({"verify", "x", "--quiet"}).out, "");
}

TEST_F(Verify, SaysWhichFileDiffersAndExitsWithOne) {
  auto* file = client_.service.verification.add_files();
  file->set_file("soup-2");
  file->set_expected_sha256("s2");
  client_.service.verification.set_identical(false);
  auto outcome = client_.Run({"verify", "x"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out,
            "different files: the weights are the same\n"
            "  soup.safetensors: identical\n"
            "  soup-2: differs\n    expected s2\n    found    not written now\n");
  client_.service.verification.set_found_digest("d2");
  outcome = client_.Run({"verify", "x", "--quiet"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("different weights\n    expected d1\n    found    d2\n"));
}

TEST_F(Verify, SendsTheTextOfAManifest) {
  const std::string path = client_.folder / "manifest.json";
  std::ofstream(path) << "{\"manifest_version\": 1}";
  EXPECT_EQ(client_.Run({"verify", path}).code, 0);
  EXPECT_EQ(client_.service.verified().at(0).manifest(), "{\"manifest_version\": 1}");
  EXPECT_EQ(client_.Run({"verify", client_.folder / "none.json"}).code, 2);
  EXPECT_EQ(client_.service.verified().size(), 1u);
}

TEST(Report, LeavesThePageToPython) {
  ClientHarness client;
  EXPECT_EQ(client.Run({"report", "x", "-o", "page.html"}).code, 2) << "there is no report";
  client.service.job.mutable_report()->mutable_result()->set_explanation("No gain.");
  EXPECT_EQ(client.Run({"report", "x", "-o", "page.html"}).code, 0);
  EXPECT_THAT(client.became, ElementsAre("report", "-", "--out=page.html"));
  EXPECT_EQ(nlohmann::json::parse(client.python_input)["report"]["result"]["explanation"],
            "No gain.");
  EXPECT_EQ(client
                .Run({"report", "x", "-o", "p", "--figures", "d", "--figure-format", "png",
                      "--figure-format", "svg", "--dark"})
                .code,
            0);
  EXPECT_THAT(client.became, ElementsAre("report", "-", "--out=p", "--figures=d",
                                         "--figure-format=png", "--figure-format=svg", "--dark"));
  EXPECT_EQ(client.Run({"report", "x", "--figures", "d"}).code, 2) << "only with a page";
}

TEST(Get, ShowsTheJobAndItsReport) {
  ClientHarness client;
  client.service.job.set_display_name("sweep");
  client.service.job.mutable_report()->mutable_result()->set_explanation("No gain.");
  EXPECT_EQ(client.Run({"get", "x"}).out,
            "name        jobs/x\ntitle       sweep\nstate       SUCCEEDED\n\nNo gain.\n");
  EXPECT_EQ(client.Run({"report", "jobs/x"}).out, "No gain.\n");
  EXPECT_EQ(nlohmann::json::parse(client.Run({"get", "x", "--json"}).out)["state"], "SUCCEEDED");
}

}  // namespace
}  // namespace stockpot::cli
