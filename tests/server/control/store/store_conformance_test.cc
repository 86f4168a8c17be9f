// What every Store promises (server/control/job/store.h), checked of each implementation.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/store/sqlite/sqlite_store.h"
#include "tests/support/fakes/fake_results.h"
#include "tests/support/fakes/memory_store.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

const absl::Time kStart = absl::FromUnixMicros(1700000000123456);

JobRecord MakeJob(const std::string& name, absl::Duration age = absl::ZeroDuration()) {
  JobRecord job;
  job.name = name;
  job.spec = R"({"ingredients": ["ä"]})";
  job.display_name = "a \"job\"";
  job.labels = {{"team", "x"}, {"run", "7"}};
  job.priority = -3;
  job.client = "me";
  job.request_digest = "d";
  job.recipe_version = "greedy/1";
  job.create_time = kStart - age;
  return job;
}

NewEvent Event(const std::string& key) {
  return {key, kStart, absl::StrCat("{\"of\":\"", key, "\"}")};
}

std::string ReasonOf(const absl::Status& status) { return GetErrorFacts(status).reason; }

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Store>(const std::string& folder)> open;
};

class StoreConformance : public testing::TestWithParam<Kind> {
 protected:
  void Create(const JobRecord& job) { ASSERT_TRUE(store_->CreateJob(job, Event("made")).ok()); }

  TaskClaim Claim(const Task& task, const std::string& job = "jobs/a") {
    absl::StatusOr<TaskClaim> claim =
        store_->ClaimTask(job, task, "owner", kStart, kStart + absl::Seconds(30));
    EXPECT_TRUE(claim.ok()) << claim.status();
    return claim.value_or(TaskClaim());
  }

  // A fact of `job` about `task`.
  static Fact FactOf(const Task& task, const std::string& job = "jobs/a") {
    Fact fact = FakeResult(task);
    fact.job = job;
    return fact;
  }

  TemporaryFolder folder_;
  std::unique_ptr<Store> store_ = GetParam().open(folder_.path());
  const Task task_ = InspectCheckpointTask("scope", "/m.safetensors");
};

Task Measure(const std::string& data_set) {
  MeasureInputs inputs;
  inputs.data_set_digest = data_set;
  return MeasureTask(inputs);
}

TEST_P(StoreConformance, KeepsEveryFieldOfAJob) {
  JobRecord job = MakeJob("jobs/a");
  Create(job);
  job.state = JobState::kFailed;
  job.suspend_reason = "DISK_FULL";
  job.error = WithMetadata(WithReason(absl::InvalidArgumentError("no"), "BAD"), "tensor", "fc");
  job.start_time = kStart + absl::Seconds(1);
  job.end_time = kStart + absl::Seconds(2);
  job.cancel_requested = true;
  job.report = R"({"result":1})";
  job.artifacts = "[]";
  ASSERT_EQ(*store_->UpdateJob(job, {Event("failed")}), 2);
  const JobRecord read = *store_->GetJob("jobs/a");
  EXPECT_EQ(read.name, job.name);
  EXPECT_EQ(read.spec, job.spec);
  EXPECT_EQ(read.display_name, job.display_name);
  EXPECT_EQ(read.labels, job.labels);
  EXPECT_EQ(read.priority, job.priority);
  EXPECT_EQ(read.client, job.client);
  EXPECT_EQ(read.request_digest, job.request_digest);
  EXPECT_EQ(read.recipe_version, job.recipe_version);
  EXPECT_EQ(read.create_time, job.create_time);
  EXPECT_EQ(read.state, JobState::kFailed);
  EXPECT_EQ(read.suspend_reason, job.suspend_reason);
  EXPECT_EQ(read.error, job.error);
  EXPECT_EQ(read.start_time, job.start_time);
  EXPECT_EQ(read.end_time, job.end_time);
  EXPECT_EQ(read.deadline, job.deadline);
  EXPECT_EQ(read.artifact_bytes, job.artifact_bytes);
  EXPECT_TRUE(read.cancel_requested);
  EXPECT_EQ(read.report, job.report);
  EXPECT_EQ(read.artifacts, job.artifacts);
  EXPECT_EQ(read.last_sequence, 2);
}

TEST_P(StoreConformance, UnknownJobsAreNotFound) {
  for (const absl::Status& status :
       {store_->GetJob("jobs/x").status(), store_->UpdateJob(MakeJob("jobs/x"), {}).status(),
        store_->DeleteJob("jobs/x"), store_->ReadEvents("jobs/x", 0, 10).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(status), "JOB_NOT_FOUND");
  }
}

TEST_P(StoreConformance, ATakenNameIsRefused) {
  Create(MakeJob("jobs/a"));
  const absl::Status status = store_->CreateJob(MakeJob("jobs/a"), Event("made")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(status), "JOB_EXISTS");
}

TEST_P(StoreConformance, ARequestIdMakesOneJob) {
  JobRecord job = MakeJob("jobs/a");
  job.request_id = "r";
  Create(job);
  job.name = "jobs/b";
  absl::StatusOr<Store::Created> again = store_->CreateJob(job, Event("made"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->job.name, "jobs/a");
  EXPECT_FALSE(store_->GetJob("jobs/b").ok());

  EXPECT_EQ((*store_->FindRequest("me", "r"))->name, "jobs/a");
  EXPECT_FALSE(store_->FindRequest("me", "").value().has_value());
  EXPECT_FALSE(store_->FindRequest("you", "r").value().has_value());

  job.request_digest = "another";
  const absl::Status status = store_->CreateJob(job, Event("made")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(GetErrorFacts(status).metadata["job"], "jobs/a");

  job.client = "somebody else";
  EXPECT_FALSE(store_->CreateJob(job, Event("made"))->existed);
}

TEST_P(StoreConformance, SequencesHaveNoGapsAndKeysAreUnique) {
  Create(MakeJob("jobs/a"));
  EXPECT_EQ(*store_->UpdateJob(MakeJob("jobs/a"), {Event("x"), Event("made"), Event("y")}), 3);
  EXPECT_EQ(*store_->UpdateJob(MakeJob("jobs/a"), {Event("y")}), 3);
  EXPECT_EQ(*store_->UpdateJob(MakeJob("jobs/a"), {Event("z")}), 4);
  const std::vector<EventRecord> events = *store_->ReadEvents("jobs/a", 0, 10);
  std::vector<std::string> keys;
  for (const EventRecord& event : events) {
    EXPECT_EQ(event.sequence, static_cast<int64_t>(keys.size()) + 1);
    EXPECT_EQ(event.time, kStart);
    EXPECT_EQ(event.body, Event(event.key).body);
    keys.push_back(event.key);
  }
  EXPECT_EQ(keys, (std::vector<std::string>{"made", "x", "y", "z"}));
  EXPECT_EQ(store_->ReadEvents("jobs/a", 1, 2)->front().key, "x");
  EXPECT_EQ(store_->ReadEvents("jobs/a", 1, 2)->size(), 2u);
  EXPECT_TRUE(store_->ReadEvents("jobs/a", 4, 10)->empty());
}

TEST_P(StoreConformance, ListsNewestFirstByPageStateAndLabel) {
  Create(MakeJob("jobs/old", absl::Hours(2)));
  Create(MakeJob("jobs/b", absl::Hours(1)));
  Create(MakeJob("jobs/a", absl::Hours(1)));
  JobRecord ended = MakeJob("jobs/new");
  ended.labels = {{"team", "y"}};
  Create(ended);
  ended.state = JobState::kSucceeded;
  ended.report = "{}";
  ASSERT_TRUE(store_->UpdateJob(ended, {}).ok());

  auto names = [&](const JobQuery& query) {
    std::vector<std::string> found;
    const std::vector<JobRecord> records = *store_->ListJobs(query);
    for (const JobRecord& job : records) {
      EXPECT_EQ(job.report, "");
      found.push_back(job.name);
    }
    return found;
  };
  using Names = std::vector<std::string>;
  JobQuery query;
  EXPECT_EQ(names(query), (Names{"jobs/new", "jobs/a", "jobs/b", "jobs/old"}));
  query.limit = 2;
  query.after = {kStart - absl::Hours(1), "jobs/a"};
  EXPECT_EQ(names(query), (Names{"jobs/b", "jobs/old"}));
  query = JobQuery();
  query.state = JobState::kSucceeded;
  EXPECT_EQ(names(query), (Names{"jobs/new"}));
  query = JobQuery();
  query.labels = {{"team", "x"}, {"run", "7"}};
  EXPECT_EQ(names(query).size(), 3u);
  query.labels["run"] = "8";
  EXPECT_TRUE(names(query).empty());

  Names unfinished;
  const std::vector<JobRecord> records = *store_->ListUnfinishedJobs();
  for (const JobRecord& job : records) unfinished.push_back(job.name);
  EXPECT_EQ(unfinished, (Names{"jobs/old", "jobs/a", "jobs/b"}));
}

TEST_P(StoreConformance, ListsInEveryOrderAndPagesThroughIt) {
  const int kPriorities[] = {3, -1, 3, 0, -1};
  for (int i = 0; i < 5; ++i) {
    JobRecord job = MakeJob(absl::StrCat("jobs/", i), absl::Hours(i / 2));
    job.priority = kPriorities[i];
    Create(job);
  }
  struct Case {
    JobOrder order;
    std::string names;
  };
  for (const Case& test : {Case{JobOrder::kNewestFirst, "01234"},
                           {JobOrder::kOldestFirst, "42301"},
                           {JobOrder::kHighestPriorityFirst, "02314"},
                           {JobOrder::kLowestPriorityFirst, "14302"}}) {
    JobQuery query;
    query.order = test.order;
    query.limit = 2;
    std::string names;
    while (true) {
      const std::vector<JobRecord> page = *store_->ListJobs(query);
      if (page.empty()) break;
      for (const JobRecord& job : page) absl::StrAppend(&names, job.name.substr(5));
      query.after = {page.back().create_time, page.back().name, page.back().priority};
    }
    EXPECT_EQ(names, test.names);
  }
}

TEST_P(StoreConformance, ListsWhatHasEndedLongestFirstAndSumsItsBytes) {
  for (int i = 0; i < 4; ++i) {
    JobRecord job = MakeJob(absl::StrCat("jobs/", i));
    job.client = std::string(1, i < 2 ? 'x' : 'y');
    Create(job);
    if (i == 3) continue;
    job.state = JobState::kSucceeded;
    job.end_time = kStart - absl::Hours(i);
    job.artifact_bytes = 100 + i;
    ASSERT_TRUE(store_->UpdateJob(job, {}).ok());
  }
  auto names = [&](absl::Time before, int limit, int64_t min_bytes = 0) {
    std::string found;
    const std::vector<JobRecord> jobs = *store_->ListEndedJobs(before, min_bytes, limit);
    for (const JobRecord& job : jobs) absl::StrAppend(&found, job.name.substr(5));
    return found;
  };
  EXPECT_EQ(names(absl::InfiniteFuture(), 10), "210");
  EXPECT_EQ(names(absl::InfiniteFuture(), 2), "21");
  EXPECT_EQ(names(kStart, 10), "21");
  EXPECT_EQ(names(absl::InfiniteFuture(), 10, 102), "2");
  EXPECT_EQ(*store_->ArtifactBytes(), (std::map<std::string, int64_t>{{"x", 201}, {"y", 102}}));
}

TEST_P(StoreConformance, ForgetsOldMeasuresOfJobsThatAreGone) {
  Create(MakeJob("jobs/a"));
  const Task old_task = Measure("old"), new_task = Measure("new");
  ASSERT_TRUE(
      store_->FinishTask(old_task.key, Claim(old_task).fence, FactOf(old_task), kStart).ok());
  const absl::Time later = kStart + absl::Hours(1);
  ASSERT_TRUE(
      store_->FinishTask(new_task.key, Claim(new_task).fence, FactOf(new_task), later).ok());
  EXPECT_EQ(*store_->ForgetMeasures(later), 0) << "their job is still there";
  ASSERT_TRUE(store_->DeleteJob("jobs/a").ok());
  EXPECT_EQ(*store_->ForgetMeasures(kStart), 0);
  EXPECT_EQ(*store_->ForgetMeasures(later), 1);
  const std::vector<Fact> left = *store_->FindFacts("jobs/b", {old_task.key, new_task.key});
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].key, new_task.key);
}

TEST_P(StoreConformance, AClaimExcludesOthersUntilItsLeaseEnds) {
  const TaskClaim first = Claim(task_);
  EXPECT_EQ(first.attempt, 1);
  const absl::Status taken =
      store_->ClaimTask("jobs/b", task_, "other", kStart, kStart + absl::Seconds(60)).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(taken), "TASK_CLAIMED");
  ASSERT_TRUE(store_->RenewLease(task_.key, first.fence, kStart + absl::Seconds(90)).ok());
  const absl::Time later = kStart + absl::Seconds(90);
  EXPECT_FALSE(store_->ClaimTask("jobs/b", task_, "other", later - absl::Seconds(1), later).ok());
  absl::StatusOr<TaskClaim> second =
      store_->ClaimTask("jobs/b", task_, "other", later, later + absl::Seconds(30));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_GT(second->fence, first.fence);
  EXPECT_EQ(second->attempt, 2);
}

TEST_P(StoreConformance, WritesWithAnOldFenceChangeNothing) {
  const TaskClaim old = Claim(task_);
  ASSERT_TRUE(store_->ReleaseTask(task_.key, old.fence).ok());
  const TaskClaim now = Claim(task_);
  EXPECT_GT(now.fence, old.fence);
  for (const absl::Status& status :
       {store_->RenewLease(task_.key, old.fence, kStart + absl::Hours(1)),
        store_->FinishTask(task_.key, old.fence, FactOf(task_), kStart),
        store_->ReleaseTask(task_.key, old.fence)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(ReasonOf(status), "STALE_FENCE");
  }
  EXPECT_TRUE(store_->FindFacts("jobs/a", {task_.key})->empty());
  EXPECT_TRUE(store_->FinishTask(task_.key, now.fence, FactOf(task_), kStart).ok());
  EXPECT_EQ(store_->FinishTask(task_.key, now.fence, FactOf(task_), kStart).code(),
            absl::StatusCode::kAborted);
}

TEST_P(StoreConformance, FencesGrowEvenAfterTheJobIsDeleted) {
  Create(MakeJob("jobs/a"));
  const TaskClaim old = Claim(task_);
  ASSERT_TRUE(store_->DeleteJob("jobs/a").ok());
  const TaskClaim now = Claim(task_);
  EXPECT_GT(now.fence, old.fence);
  EXPECT_EQ(now.attempt, 1);
  EXPECT_EQ(store_->FinishTask(task_.key, old.fence, FactOf(task_), kStart).code(),
            absl::StatusCode::kAborted);
}

TEST_P(StoreConformance, KeepsAFactAsItWas) {
  const Task task = Measure("d");
  Fact fact = FactOf(task);
  fact.examples = std::string("\0\xff binary", 9);
  fact.seconds = 1.0 / 3;
  fact.result["measured"]["cross_entropy_sum"] = 0.1 + 0.2;
  ASSERT_TRUE(store_->FinishTask(task.key, Claim(task).fence, fact, kStart).ok());
  const std::vector<Fact> found = *store_->FindFacts("jobs/z", {"unknown", task.key});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].key, task.key);
  EXPECT_TRUE(found[0].status.ok());
  EXPECT_EQ(found[0].result, fact.result);
  EXPECT_EQ(found[0].seconds, fact.seconds);
  EXPECT_EQ(found[0].job, "jobs/a");
  EXPECT_EQ(found[0].examples, "");
  EXPECT_EQ(*store_->ReadExamples(task.key), fact.examples);
  EXPECT_EQ(store_->ReadExamples("unknown").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreConformance, AFactIsNeverReplaced) {
  const Task task = Measure("d");
  Fact fact = FactOf(task);
  ASSERT_TRUE(store_->FinishTask(task.key, Claim(task).fence, fact, kStart).ok());
  Fact other = fact;
  other.result["measured"]["top1_correct"] = 1;
  ASSERT_TRUE(store_->FinishTask(task.key, Claim(task).fence, other, kStart).ok());
  EXPECT_EQ(store_->FindFacts("jobs/a", {task.key})->front().result, fact.result);
}

TEST_P(StoreConformance, AFailureBelongsToItsJobAndIsForgottenOnRetry) {
  Create(MakeJob("jobs/a"));
  Fact failure;
  failure.key = task_.key;
  failure.job = "jobs/a";
  failure.status = WithReason(absl::DataLossError("truncated"), "CHECKPOINT_TRUNCATED");
  ASSERT_TRUE(store_->FinishTask(task_.key, Claim(task_).fence, failure, kStart).ok());
  EXPECT_EQ(store_->FindFacts("jobs/a", {task_.key})->front().status, failure.status);
  EXPECT_TRUE(store_->FindFacts("jobs/b", {task_.key})->empty());
  ASSERT_TRUE(
      store_->FinishTask(task_.key, Claim(task_, "jobs/b").fence, FactOf(task_, "jobs/b"), kStart)
          .ok());
  EXPECT_TRUE(store_->FindFacts("jobs/b", {task_.key})->front().status.ok());
  // What a job decided on stays what it sees.
  EXPECT_EQ(store_->FindFacts("jobs/a", {task_.key})->front().status, failure.status);

  ASSERT_TRUE(store_->ForgetFailures("jobs/a").ok());
  EXPECT_TRUE(store_->FindFacts("jobs/a", {task_.key})->front().status.ok());
}

TEST_P(StoreConformance, AnAttemptThatIsHandedBackDoesNotCount) {
  const TaskClaim first = Claim(task_);
  ASSERT_TRUE(store_->HandBackTask(task_.key, first.fence).ok());
  const TaskClaim second = Claim(task_);
  EXPECT_EQ(second.attempt, 1);
  EXPECT_GT(second.fence, first.fence);
  EXPECT_EQ(ReasonOf(store_->HandBackTask(task_.key, first.fence)), "STALE_FENCE");
  ASSERT_TRUE(store_->ReleaseTask(task_.key, second.fence).ok());
  ASSERT_TRUE(store_->HandBackTask(task_.key, Claim(task_).fence).ok());
  EXPECT_EQ(Claim(task_).attempt, 2) << "only its own";
}

TEST_P(StoreConformance, ForgettingFailuresForgetsAttempts) {
  ASSERT_TRUE(store_->ReleaseTask(task_.key, Claim(task_).fence).ok());
  const TaskClaim second = Claim(task_);
  EXPECT_EQ(second.attempt, 2);
  ASSERT_TRUE(store_->ReleaseTask(task_.key, second.fence).ok());
  ASSERT_TRUE(store_->ForgetFailures("jobs/a").ok());
  EXPECT_EQ(Claim(task_).attempt, 1);
}

TEST_P(StoreConformance, DeletingAJobKeepsWhatOthersMayUse) {
  Create(MakeJob("jobs/a"));
  const Task measure = Measure("d");
  ASSERT_TRUE(store_->FinishTask(measure.key, Claim(measure).fence, FactOf(measure), kStart).ok());
  ASSERT_TRUE(store_->FinishTask(task_.key, Claim(task_).fence, FactOf(task_), kStart).ok());
  ASSERT_TRUE(store_->DeleteJob("jobs/a").ok());
  EXPECT_FALSE(store_->GetJob("jobs/a").ok());
  EXPECT_EQ(store_->FindFacts("jobs/a", {measure.key, task_.key})->size(), 1u);
  Create(MakeJob("jobs/a"));
  EXPECT_EQ(store_->ReadEvents("jobs/a", 0, 10)->size(), 1u);
}

// The others' keys do not name the job either: a running job may have told of them.
TEST_P(StoreConformance, WhatSeveralJobsMayShareOutlivesItsJobUntilItIsOld) {
  Create(MakeJob("jobs/a"));
  std::vector<std::string> keys;
  for (const char* kind :
       {"measure", "measure_ensemble", "measure_gap", "learn_coefficients", "compare_weights"}) {
    Task task = Measure(kind);
    Fact fact = FactOf(task);
    task.body = {{kind, Json::object()}};
    const std::map<std::string, std::string> kResults = {{"measure_gap", "gap"},
                                                         {"learn_coefficients", "coefficients"},
                                                         {"compare_weights", "weights"}};
    const auto result = kResults.find(kind);
    if (result != kResults.end()) fact.result = {{result->second, Json::object()}};
    ASSERT_TRUE(store_->FinishTask(task.key, Claim(task).fence, fact, kStart).ok());
    keys.push_back(task.key);
  }
  ASSERT_TRUE(store_->DeleteJob("jobs/a").ok());
  EXPECT_EQ(store_->FindFacts("jobs/b", keys)->size(), 5u);
  EXPECT_EQ(*store_->ForgetMeasures(kStart), 0);
  EXPECT_EQ(*store_->ForgetMeasures(kStart + absl::Seconds(1)), 5);
  EXPECT_TRUE(store_->FindFacts("jobs/b", keys)->empty());
}

// What does not clear a bar is a fact under another key than its task's.
TEST_P(StoreConformance, AFactUnderAnotherKeyEndsItsTaskAndOutlivesItsJob) {
  Create(MakeJob("jobs/a"));
  const Task measure = Measure("d");
  Fact fact = FactOf(measure);
  fact.key = "not better";
  const TaskClaim claim = Claim(measure);
  ASSERT_TRUE(store_->FinishTask(measure.key, claim.fence, fact, kStart).ok());
  EXPECT_EQ(store_->FinishTask(measure.key, claim.fence, fact, kStart).code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(Claim(measure).attempt, 2) << "the task itself has no fact yet";
  ASSERT_TRUE(store_->DeleteJob("jobs/a").ok());
  const auto found = store_->FindFacts("jobs/b", {measure.key, "not better"});
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().key, "not better");
}

const Kind kKinds[] = {
    {"Memory", [](const std::string&) { return std::make_unique<MemoryStore>(); }},
    {"Sqlite", [](const std::string& folder) { return *OpenSqliteStore(folder); }},
};

INSTANTIATE_TEST_SUITE_P(All, StoreConformance, testing::ValuesIn(kKinds),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace stockpot
