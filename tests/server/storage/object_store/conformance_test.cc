// What every object store promises, over a real server of each kind where one is installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/object_store/object_stores.h"
#include "server/storage/remote_files.h"
#include "server/storage/remote_output.h"
#include "tests/support/folder_contents.h"
#include "tests/support/object_emulator/object_emulator.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kPartBytes = 64 << 10;
constexpr char kBusy[] =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

std::string Bytes(size_t size, uint32_t seed = 1) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

class ObjectStoreConformance : public testing::TestWithParam<ObjectEmulator::Kind> {
 protected:
  void SetUp() override {
    if (!ObjectEmulator::IsInstalled(GetParam())) {
      GTEST_SKIP() << ObjectEmulator::Skipped(GetParam());
    }
    emulator_ = std::make_unique<ObjectEmulator>(GetParam());
    root_ = emulator_->Root();
    options_.cache_folder = folder_ / "cache";
    options_.download.part_bytes = kPartBytes;
    options_.download.sleep = [](absl::Duration) {};
    objects_options_.read_bytes = kPartBytes / 2;
  }

  absl::Status Open() {
    files_.reset();
    RemoteAccess access = emulator_->Access();
    access.allowed_uri_prefixes = {root_};
    objects_ = std::make_unique<ObjectStores>(objects_options_);
    ASSIGN_OR_RETURN(RemoteFiles::Stores stores, objects_->Open(access));
    ASSIGN_OR_RETURN(files_,
                     OpenRemoteFiles(access, options_, &clock_, nullptr, std::move(stores)));
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Fetch(const std::string& path) {
    if (files_ == nullptr) RETURN_IF_ERROR(Open());
    ASSIGN_OR_RETURN(const auto copy,
                     files_->Fetch(absl::StrCat(root_, path), Purpose::kData, Unwatched));
    return ReadSmallFile(copy.path, 1 << 30);
  }
  std::string Content(const std::string& path) {
    const absl::StatusOr<std::string> content = Fetch(path);
    return content.ok() ? *content : "ERROR: " + content.status().ToString();
  }

  TemporaryFolder folder_;
  SystemClock clock_;
  std::unique_ptr<ObjectEmulator> emulator_;
  std::string root_;
  RemoteFiles::Options options_;
  ObjectStoreOptions objects_options_;
  std::unique_ptr<ObjectStores> objects_;  // outlives files_
  std::unique_ptr<RemoteFiles> files_;
};

TEST_P(ObjectStoreConformance, AnObjectIsReadWhole) {
  for (const size_t size : {size_t{0}, size_t{1}, kPartBytes, 5 * kPartBytes + 77}) {
    const std::string key = absl::StrCat("sweep/", size, ".safetensors");
    emulator_->Put(key, Bytes(size));
    for (int time = 0; time < 2; ++time) EXPECT_TRUE(Content(key) == Bytes(size)) << size;
  }
}

TEST_P(ObjectStoreConformance, KeysMayHoldAnyCharacterThatAUriEncodes) {
  const std::pair<const char*, const char*> cases[] = {{"a b+c%d/e.bin", "a%20b+c%25d/e.bin"},
                                                       {"x=1&y=2", "x=1&y=2"},
                                                       {"\xc3\xa9t\xc3\xa9", "%C3%A9t%c3%a9"},
                                                       {"q?r#s", "q%3fr%23s"},
                                                       {"[1]", "%5b1%5d"}};
  for (const auto& [key, path] : cases) {
    emulator_->Put(key, absl::StrCat("content of ", key));
    EXPECT_EQ(Content(path), absl::StrCat("content of ", key));
  }
}

TEST_P(ObjectStoreConformance, WhatChangedIsReadAgain) {
  emulator_->Put("a", "before");
  EXPECT_EQ(Content("a"), "before");
  absl::SleepFor(absl::Milliseconds(1100));  // times have whole seconds on some wires
  emulator_->Put("a", "afterw");
  EXPECT_EQ(Content("a"), "afterw");
}

TEST_P(ObjectStoreConformance, WhatIsNotThereIsNotFound) {
  emulator_->Put("folder/file", "content");
  for (const char* path : {"none", "folder", "folder/file/below"}) {
    EXPECT_TRUE(absl::IsNotFound(Fetch(path).status())) << path << Fetch(path).status();
  }
  root_ = absl::StrCat(emulator_->scheme(), "://another-bucket/");
  files_.reset();
  EXPECT_TRUE(absl::IsNotFound(Fetch("file").status())) << Fetch("file").status();
}

TEST_P(ObjectStoreConformance, AListingIsWholeInOrderAndBounded) {
  for (const char* key : {"data/b/2.jpg", "data/a/10.jpg", "data/a/9.jpg", "data/a b/x.jpg",
                          "data/c.txt", "database/x", "data/b/1.jpg"}) {
    emulator_->Put(key, key);
  }
  ASSERT_TRUE(Open().ok());
  const auto list = [&](const std::string& path, size_t most) {
    return files_->List(*ParseRemoteFolder(absl::StrCat(root_, path)), most,
                        [] { return absl::OkStatus(); });
  };
  const auto files = list("data/", 6);
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> paths;
  for (const ListedFile& file : *files) {
    paths.push_back(file.path);
    EXPECT_EQ(file.size, file.path.size() + 5);
  }
  EXPECT_THAT(paths,
              ElementsAre("a b/x.jpg", "a/10.jpg", "a/9.jpg", "b/1.jpg", "b/2.jpg", "c.txt"));
  EXPECT_EQ((*files)[0].uri.ToString(), root_ + "data/a%20b/x.jpg");
  EXPECT_EQ(list("", 100)->size(), 7u);
  EXPECT_EQ(GetErrorFacts(list("data", 5).status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_TRUE(absl::IsNotFound(list("none", 5).status())) << list("none", 5).status();
}

TEST_P(ObjectStoreConformance, AFolderIsBroughtAsOne) {
  for (int i = 0; i < 10; ++i) {
    emulator_->Put(absl::StrCat("images/c", i % 2, "/", i, ".jpg"), Bytes(100, 7));
  }
  ASSERT_TRUE(Open().ok());
  const auto folder = files_->FetchFolder(absl::StrCat(root_, "images"), Unwatched);
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto found = FolderContents(folder->path);
  EXPECT_EQ(found.size(), 10u);
  EXPECT_EQ(found.at("c1/3.jpg"), Bytes(100, 7));
}

TEST_P(ObjectStoreConformance, WrongCredentialsAreSaidAndNotShown) {
  if (emulator_->scheme() == "gs") GTEST_SKIP() << "fake-gcs-server asks for none";
  emulator_->Put("a", "content");
  emulator_->SpoilCredentials();
  const absl::Status status = Fetch("a").status();
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_FORBIDDEN") << status;
  EXPECT_THAT(status.ToString(), Not(HasSubstr("the-key")));
}

TEST_P(ObjectStoreConformance, BrokenConnectionsChangeNothing) {
  const std::string content = Bytes(6 * kPartBytes + 5, 3);
  // Parts come side by side: one of them may meet several broken connections in a row.
  options_.download.retry.most_failures = 20;
  using Fault = FaultyRelay::Fault;
  const std::pair<const char*, std::function<Fault(int)>> cases[] = {
      {"busy", [](int number) { return Fault{.answer = number % 3 == 1 ? kBusy : ""}; }},
      {"breaks",
       [](int number) { return number % 2 == 1 ? Fault{.break_after = size_t{20'000}} : Fault(); }},
      {"closed at once",
       [](int number) { return number % 4 == 2 ? Fault{.break_after = size_t{0}} : Fault(); }},
  };
  for (const auto& [what, fault] : cases) {
    emulator_->Put(what, content);
    ASSERT_TRUE(Open().ok());
    emulator_->relay().OnConnection(fault);
    const auto uri = Below(*ParseRemoteFolder(root_), what);
    const std::string got = Content(uri->ToString().substr(root_.size()));
    EXPECT_TRUE(got == content) << what << got.substr(0, 300);
    emulator_->relay().OnConnection(nullptr);
  }
}

class ObjectStoreWriting : public ObjectStoreConformance {
 protected:
  absl::Status Write(const std::string& name, const std::string& content) {
    RETURN_IF_ERROR(WriteFileDurably(folder_ / "file", content));
    ASSIGN_OR_RETURN(const RemoteOutput output, Output());
    int64_t last = 0;
    const absl::Status status = output.Write(name, folder_ / "file", [&](int64_t done, int64_t) {
      EXPECT_GE(done, std::exchange(last, done)) << "never falls";
      return absl::OkStatus();
    });
    EXPECT_EQ(last, status.ok() ? static_cast<int64_t>(2 * content.size()) : last);
    return status;
  }
  absl::StatusOr<RemoteOutput> Output() {
    if (files_ == nullptr) RETURN_IF_ERROR(Open());
    return RemoteOutput::Open(root_ + "soups/a", files_.get());
  }
  static absl::Status GoesOn() { return absl::OkStatus(); }
};

TEST_P(ObjectStoreWriting, AFileIsThereWhole) {
  objects_options_.write_bytes = 5 << 20;  // the least that S3 takes
  for (const size_t size : {size_t{0}, size_t{1}, size_t{5 << 20}, size_t{12'345'678}}) {
    const absl::Status status = Write("a file", Bytes(size));
    ASSERT_TRUE(status.ok()) << size << status;
    EXPECT_TRUE(emulator_->Get("soups/a/a file") == Bytes(size)) << size;
  }
  EXPECT_THAT(emulator_->Keys(), ElementsAre("soups/a/a file"));
  const auto output = Output();
  EXPECT_EQ(*output->Read("none", 100, GoesOn), std::nullopt);
  ASSERT_TRUE(Write("b", "content").ok());
  EXPECT_EQ(*output->Read("b", 100, GoesOn), "content");
  EXPECT_EQ(GetErrorFacts(output->Read("b", 3, GoesOn).status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_TRUE(output->Remove("b", GoesOn).ok());
  EXPECT_THAT(emulator_->Keys(), ElementsAre("soups/a/a file"));
}

TEST_P(ObjectStoreWriting, ATrialLeavesNothing) {
  const auto output = Output();
  const absl::Status status = output->TryWriting(GoesOn);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(emulator_->Keys(), ElementsAre());
}

TEST_P(ObjectStoreWriting, BrokenConnectionsLeaveItWhole) {
  objects_options_.write_bytes = 5 << 20;
  const std::string content = Bytes(7'000'000, 5);
  ASSERT_TRUE(Open().ok());
  for (const size_t after : {size_t{0}, size_t{300}, size_t{1'000'000}}) {
    emulator_->relay().OnConnection([&](int number) {
      FaultyRelay::Fault fault;
      if (number % 7 == 3) fault.break_upload_after = after;
      return fault;
    });
    const absl::Status status = Write("a", content);
    EXPECT_TRUE(status.ok()) << after << status;
    emulator_->relay().OnConnection(nullptr);
    EXPECT_TRUE(emulator_->Get("soups/a/a") == content) << after;
  }
}

TEST_P(ObjectStoreWriting, OneThatIsGivenUpReplacesNothing) {
  emulator_->Put("soups/a/a", "before");
  objects_options_.write_bytes = 5 << 20;
  ASSERT_TRUE(WriteFileDurably(folder_ / "file", Bytes(12'000'000)).ok());
  const auto output = Output();
  ASSERT_TRUE(output.ok());
  const absl::Status status = output->Write("a", folder_ / "file", [](int64_t done, int64_t) {
    return done > 0 ? absl::CancelledError("enough") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  const std::string left = emulator_->scheme() == "abfs" ? "" : "before";
  EXPECT_EQ(emulator_->Get("soups/a/a"), left);
}

TEST_P(ObjectStoreWriting, WhatCannotBeWrittenIsSaid) {
  root_ = absl::StrCat(emulator_->scheme(), "://another-bucket/");
  EXPECT_EQ(GetErrorFacts(Write("a", "content")).reason, "INVALID_FIELD") << Write("a", "content");
  EXPECT_EQ(GetErrorFacts(Output()->TryWriting(GoesOn)).reason, "INVALID_FIELD");
  if (emulator_->scheme() == "gs") return;  // asks for no credentials
  root_ = emulator_->Root();
  files_.reset();
  emulator_->SpoilCredentials();
  EXPECT_EQ(GetErrorFacts(Write("a", "content")).reason, "OUTPUT_NOT_ALLOWED");
  EXPECT_EQ(GetErrorFacts(Output()->TryWriting(GoesOn)).reason, "OUTPUT_NOT_ALLOWED");
}

TEST_P(ObjectStoreConformance, AServerThatIsAlwaysBusyIsGivenUp) {
  emulator_->Put("a", "content");
  options_.download.retry.most_failures = 2;
  ASSERT_TRUE(Open().ok());
  emulator_->relay().OnConnection([](int) { return FaultyRelay::Fault{.answer = kBusy}; });
  const absl::Status status = Fetch("a").status();
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_UNAVAILABLE") << status;
}

std::string SchemeOfKind(const testing::TestParamInfo<ObjectEmulator::Kind>& store) {
  return store.param.scheme;
}
INSTANTIATE_TEST_SUITE_P(Stores, ObjectStoreConformance, testing::ValuesIn(ObjectEmulator::kKinds),
                         SchemeOfKind);
INSTANTIATE_TEST_SUITE_P(Stores, ObjectStoreWriting, testing::ValuesIn(ObjectEmulator::kKinds),
                         SchemeOfKind);

}  // namespace
}  // namespace stockpot
