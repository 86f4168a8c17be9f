// Who does a task: the worker that holds what it is made of.
#include <algorithm>
#include <iterator>
#include <set>

#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

using Given = ScriptedPool::Given;

class EnginePlacement : public EngineTest {
 protected:
  // Answers all but inspections of nobody's until the job has ended; who did its tasks, in order.
  std::vector<Given> Run(Server* server, const std::string& job, const Json& spec) {
    EXPECT_TRUE(server->engine->CreateJob(MakeJob(job, spec)).ok());
    std::vector<Given> done;
    const auto advances = [&] {
      for (const Given& given : server->pool->open()) {
        if (given.assignment.id.rfind("loose/", 0) == 0) continue;
        done.push_back(given);
        server->pool->Answer(given, FakeResult(given.assignment.task));
      }
      return IsEnded(server->engine->GetJob("jobs/" + job)->record.state);
    };
    EXPECT_TRUE(server->pool->WaitUntil(advances));
    return done;
  }

  static std::vector<Given> Measures(const std::vector<Given>& done) {
    std::vector<Given> measures;
    std::copy_if(done.begin(), done.end(), std::back_inserter(measures),
                 [](const Given& given) { return given.assignment.task.kind() == "measure"; });
    return measures;
  }

  static Json SpecOf(const std::vector<std::string>& uris) {
    return FakeSpec(uris, {{"compute", {{"measure_again", true}}}});
  }

  // The checkpoint of a measure of one.
  static std::string UriOf(const Given& given) {
    return given.assignment.task.body["measure"]["blend"]["ingredients"][0]["uri"];
  }
};

TEST_F(EnginePlacement, ATaskGoesToTheIdleWorkerThatHoldsItsContent) {
  auto server = Start(1);  // w0
  Run(server.get(), "a", SpecOf(FakeUris(1)));
  for (const char* worker : {"a", "b", "x"}) ASSERT_TRUE(server->pool->Connect(worker).ok());
  const std::vector<Given> measures = Measures(Run(server.get(), "b", SpecOf(FakeUris(1))));
  ASSERT_FALSE(measures.empty());
  EXPECT_EQ(measures[0].worker, "w0") << "though others stand before it";
}

TEST_F(EnginePlacement, OfSeveralTasksEachGoesToWhoHoldsIt) {
  auto server = Start(1);
  Run(server.get(), "a", SpecOf({"/first"}));  // w0 has read it
  server->engine->RunTask(InspectCheckpointTask("elsewhere", "/x"), "me", [](const Fact&) {});
  const auto loose = server->pool->WaitForOpen(1);  // keeps w0 busy
  ASSERT_TRUE(loose.has_value());
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  for (const Given& given : Run(server.get(), "b", SpecOf({"/second"}))) {
    ASSERT_EQ(given.worker, "w1");
  }
  server->pool->Answer((*loose)[0], FakeResult((*loose)[0].assignment.task));
  const std::vector<Given> measures =
      Measures(Run(server.get(), "c", SpecOf({"/second", "/first"})));
  ASSERT_GE(measures.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(measures[i].worker, UriOf(measures[i]) == "/first" ? "w0" : "w1");
  }
}

TEST_F(EnginePlacement, WhatNeedsNoDeviceIsDoneByWhoHasNone) {
  auto server = Start(2);
  ASSERT_TRUE(server->pool->Connect("reader", "").ok());
  const std::vector<Given> done = Run(server.get(), "a", SpecOf(FakeUris(5)));
  std::set<std::string> kinds, of_reader;
  for (const Given& given : done) {
    (given.worker == "reader" ? of_reader : kinds).insert(given.assignment.task.kind());
  }
  EXPECT_EQ(of_reader, (std::set<std::string>{"inspect_checkpoint", "inspect_data_set"}));
  EXPECT_EQ(kinds, (std::set<std::string>{"inspect_architecture", "measure", "write_soup"}));
  server->pool->Kill("reader");
  Run(server.get(), "b", SpecOf(FakeUris(5)));
  EXPECT_EQ(server->engine->GetJob("jobs/b")->record.state, JobState::kSucceeded)
      << "the others do all";
}

TEST_F(EnginePlacement, WhatIsInspectedIsMeasuredWhileTheRestIsRead) {
  auto server = Start(1);
  ASSERT_TRUE(server->pool->Connect("reader", "").ok());
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", SpecOf(FakeUris(3)))).ok());
  // The reader keeps the last checkpoint for as long as the others are not measured.
  size_t measured = 0;
  const auto advances = [&] {
    for (const Given& given : server->pool->open()) {
      const Task& task = given.assignment.task;
      if (task.kind() == "inspect_checkpoint" && measured < 2 &&
          task.body["inspect_checkpoint"]["uri"] == FakeUris(3).back()) {
        continue;
      }
      measured += task.kind() == "measure" ? 1 : 0;
      server->pool->Answer(given, FakeResult(task));
    }
    return IsEnded(server->engine->GetJob("jobs/a")->record.state);
  };
  EXPECT_TRUE(server->pool->WaitUntil(advances));
  EXPECT_EQ(server->engine->GetJob("jobs/a")->record.state, JobState::kSucceeded);
}

TEST_F(EnginePlacement, AWorkerThatHoldsNothingWorksAllTheSame) {
  auto server = Start(2);
  Run(server.get(), "a", SpecOf(FakeUris(5)));
  ASSERT_TRUE(server->pool->Connect("new").ok());
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("b", SpecOf(FakeUris(5)))).ok());
  ASSERT_TRUE(server->pool->WaitForOpen(3).has_value());
  std::set<std::string> busy;
  for (const Given& given : server->pool->open()) busy.insert(given.worker);
  EXPECT_EQ(busy, (std::set<std::string>{"new", "w0", "w1"}));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b"));
}

}  // namespace
}  // namespace stockpot
