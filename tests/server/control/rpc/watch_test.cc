#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/control/rpc/rpc_fixture.h"

namespace stockpot {
namespace {

class Watch : public RpcTest {
 protected:
  struct Reader {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::JobEvent>> stream;
    // The next message, or none when the stream has ended.
    std::optional<v1::JobEvent> Next() {
      v1::JobEvent event;
      return stream->Read(&event) ? std::optional(event) : std::nullopt;
    }
    grpc::Status Finish() { return stream->Finish(); }
  };

  std::unique_ptr<Reader> Open(const std::string& name, int64_t after = 0) {
    auto reader = std::make_unique<Reader>();
    v1::WatchJobRequest request;
    request.set_name(name);
    request.set_after_sequence(after);
    reader->stream = stub_->WatchJob(&reader->context, request);
    return reader;
  }

  std::vector<int64_t> ReadAll(Reader* reader) {
    std::vector<int64_t> sequences;
    while (auto event = reader->Next()) {
      if (event->sequence() > 0) sequences.push_back(event->sequence());
    }
    return sequences;
  }

  static JobProgress Progress(int64_t tasks_done) {
    JobProgress progress;
    progress.tasks_done = tasks_done;
    return progress;
  }

  static std::vector<int64_t> Range(int64_t first, int64_t last) {
    std::vector<int64_t> range;
    for (int64_t i = first; i <= last; ++i) range.push_back(i);
    return range;
  }
};

TEST_F(Watch, ReliableNoEventIsLeftOutAndTheStreamEndsAfterTheFinalOne) {
  PutJob("jobs/a");
  engine_.AddEvents("jobs/a", 250);
  engine_.EndJob("jobs/a", JobState::kSucceeded);
  auto reader = Open("jobs/a");
  EXPECT_EQ(ReadAll(reader.get()), Range(1, 250));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(Watch, OrderedEventsComeInTheOrderInWhichTheyHappen) {
  PutJob("jobs/a");
  auto reader = Open("jobs/a");
  engine_.WaitForSubscriptions(1);
  for (int i = 1; i <= 50; ++i) {
    engine_.AddEvents("jobs/a", 1);
    EXPECT_EQ(reader->Next()->sequence(), i);
  }
  engine_.EndJob("jobs/a", JobState::kCancelled);
  EXPECT_FALSE(reader->Next().has_value());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(Watch, UniqueNoEventComesTwiceHoweverOftenTheWatcherIsWoken) {
  PutJob("jobs/a");
  auto reader = Open("jobs/a");
  engine_.WaitForSubscriptions(1);
  std::vector<std::thread> wakers;
  for (int i = 0; i < 4; ++i) {
    wakers.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        engine_.SetProgress("jobs/a", Progress(n));  // wakes every watcher
        service_.Tick();
        if (n % 10 == 0) engine_.AddEvents("jobs/a", 1);
      }
    });
  }
  for (std::thread& waker : wakers) waker.join();
  engine_.EndJob("jobs/a", JobState::kSucceeded);
  EXPECT_EQ(ReadAll(reader.get()), Range(1, 80));
}

TEST_F(Watch, AtomicWhatAnEventTellsIsThereForWhoeverHasSeenIt) {
  PutJob("jobs/a");
  auto reader = Open("jobs/a");
  engine_.WaitForSubscriptions(1);
  std::thread job([&] {
    for (int i = 0; i < 100; ++i) engine_.AddEvents("jobs/a", 3);
    engine_.EndWithEvent("jobs/a", JobState::kSucceeded);
  });
  v1::GetJobRequest request;
  request.set_name("jobs/a");
  int64_t last = 0;
  while (auto event = reader->Next()) {
    if (event->sequence() == 0) continue;
    last = event->sequence();
    v1::Job seen;
    ASSERT_TRUE(Call(&v1::SoupService::Stub::GetJob, request, &seen).ok());
    EXPECT_GE(seen.last_sequence(), last);
    if (event->state_changed().state() == v1::Job::SUCCEEDED) {
      EXPECT_EQ(seen.state(), v1::Job::SUCCEEDED) << "the final event without its state";
    }
  }
  job.join();
  EXPECT_EQ(last, 301);
}

TEST_F(Watch, ResumableAfterAnySequence) {
  PutJob("jobs/a");
  engine_.AddEvents("jobs/a", 205);
  engine_.EndJob("jobs/a", JobState::kFailed);
  for (int64_t after : {0, 1, 99, 100, 101, 204, 205}) {
    auto reader = Open("jobs/a", after);
    EXPECT_EQ(ReadAll(reader.get()), Range(after + 1, 205)) << after;
    EXPECT_TRUE(reader->Finish().ok());
  }
}

TEST_F(Watch, RefusesSequencesThatDoNotExistAndJobsThatDoNot) {
  PutJob("jobs/a");
  engine_.AddEvents("jobs/a", 3);
  const auto error = [&](const std::string& name, int64_t after) {
    auto reader = Open(name, after);
    EXPECT_FALSE(reader->Next().has_value());
    return reader->Finish();
  };
  const grpc::Status beyond = error("jobs/a", 4);
  EXPECT_EQ(beyond.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ClientError(beyond).info.reason(), "SEQUENCE_OUT_OF_RANGE");
  EXPECT_EQ(error("jobs/a", -1).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ClientError(error("jobs/none", 0)).info.reason(), "JOB_NOT_FOUND");
  EXPECT_EQ(error("nonsense", 0).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Watch, GivesProgressAtMostOncePerTick) {
  PutJob("jobs/a");
  auto reader = Open("jobs/a");
  engine_.WaitForSubscriptions(1);
  engine_.SetProgress("jobs/a", Progress(1));
  std::optional<v1::JobEvent> event = reader->Next();
  EXPECT_EQ(event->sequence(), 0);
  EXPECT_EQ(event->progress().tasks_done(), 1);
  for (int i = 2; i <= 100; ++i) engine_.SetProgress("jobs/a", Progress(i));
  engine_.AddEvents("jobs/a", 1);
  EXPECT_EQ(reader->Next()->sequence(), 1);  // nothing of the hundred
  service_.Tick();
  EXPECT_EQ(reader->Next()->progress().tasks_done(), 100);
  service_.Tick();  // nothing new
  engine_.AddEvents("jobs/a", 1);
  EXPECT_EQ(reader->Next()->sequence(), 2);
}

TEST_F(Watch, BookmarkedEveryThirtySeconds) {
  PutJob("jobs/a");
  engine_.AddEvents("jobs/a", 7);
  auto reader = Open("jobs/a");
  for (int i = 1; i <= 7; ++i) EXPECT_EQ(reader->Next()->sequence(), i);
  clock_.Advance(absl::Seconds(29));
  service_.Tick();
  clock_.Advance(absl::Seconds(1));
  service_.Tick();
  std::optional<v1::JobEvent> event = reader->Next();
  EXPECT_EQ(event->sequence(), 0);
  EXPECT_EQ(event->bookmark().sequence(), 7);
  EXPECT_EQ(event->time().seconds(), absl::ToUnixSeconds(clock_.Now()));
}

TEST_F(Watch, ASlowReaderHoldsUpNobodyAndCostsNoMemory) {
  PutJob("jobs/a");
  // Far more bytes than flow control lets through; few messages, which is what takes the time.
  engine_.AddEvents("jobs/a", 10'000,
                    R"({"state_changed":{"message":")" + std::string(5'000, 'x') + "\"}}");
  auto slow = Open("jobs/a");  // reads nothing for now
  EXPECT_EQ(slow->Next()->sequence(), 1);
  engine_.EndJob("jobs/a", JobState::kSucceeded);
  // What flow control and one page let through, no more, is read for the slow one.
  EXPECT_LT(engine_.events_read(), 2'500);
  auto fast = Open("jobs/a", 9'000);
  EXPECT_EQ(ReadAll(fast.get()), Range(9'001, 10'000));
  EXPECT_LT(engine_.events_read(), 5'000);
  EXPECT_EQ(ReadAll(slow.get()), Range(2, 10'000));
  EXPECT_TRUE(slow->Finish().ok());
}

TEST_F(Watch, ManyWatchersSeeTheSame) {
  PutJob("jobs/a");
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(Open("jobs/a"));
  engine_.WaitForSubscriptions(100);
  for (int i = 0; i < 30; ++i) engine_.AddEvents("jobs/a", 10);
  engine_.EndJob("jobs/a", JobState::kSucceeded);
  for (auto& reader : readers) EXPECT_EQ(ReadAll(reader.get()), Range(1, 300));
}

TEST_F(Watch, AClientThatGoesAwayLeavesNothingBehind) {
  PutJob("jobs/a");
  auto reader = Open("jobs/a");
  engine_.WaitForSubscriptions(1);
  reader->context.TryCancel();
  engine_.WaitForNoSubscription();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  engine_.AddEvents("jobs/a", 1);
  server_.reset();
  EXPECT_EQ(service_.stream_count(), 0u);
}

TEST_F(Watch, EndsUnavailableWhenTheServerStopsAndSaysWhenToComeBack) {
  PutJob("jobs/a");
  auto reader = Open("jobs/a");
  engine_.WaitForSubscriptions(1);
  service_.EndStreams();
  EXPECT_FALSE(reader->Next().has_value());
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ClientError(status).info.reason(), "SERVER_STOPPING");
  EXPECT_GT(ClientError(status).retry.retry_delay().seconds(), 0);
  auto late = Open("jobs/a");
  EXPECT_FALSE(late->Next().has_value());
  EXPECT_EQ(late->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Watch, AReaderThatNeverReadsDoesNotHoldUpTheStop) {
  PutJob("jobs/a");
  engine_.AddEvents("jobs/a", 100'000);
  auto stuck = Open("jobs/a");
  EXPECT_EQ(stuck->Next()->sequence(), 1);
  server_->Stop(absl::Milliseconds(1));
  EXPECT_EQ(service_.stream_count(), 0u);
}

}  // namespace
}  // namespace stockpot
