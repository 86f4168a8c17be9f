#include "server/worker/session/soup_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/json_reader.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using worker::v1::SoupFiles;
using worker::v1::WriteSoup;

constexpr char kData[] = "tests/server/worker/checkpoint/data/";

// The soup of one, which is that one.
BlendSource BlendOf(const std::string& fixture) {
  const auto opened = OpenCheckpoint(absl::StrCat(kData, fixture), {});
  EXPECT_TRUE(opened.ok()) << opened.status();
  return {{*opened}, {}, std::nullopt};
}

std::string DigestOf(const BlendSource& blend) {
  return SummarizeContent(*blend.ingredients[0])->digest;
}

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> FilesIn(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.insert(entry.path().filename());
  }
  return names;
}

std::set<std::string> FilesOf(const SoupFiles& soup) {
  std::set<std::string> names;
  for (const SoupFiles::File& file : soup.files()) names.insert(file.file());
  return names;
}

WriteSoup TaskFor(const std::string& folder, v1::Output::Format format,
                  int64_t max_shard_bytes = 5'000'000'000) {
  WriteSoup task;
  task.set_folder(folder);
  task.set_format(format);
  task.set_max_shard_bytes(max_shard_bytes);
  (*task.mutable_metadata())["made_by"] = "a test";
  return task;
}

// One of each form.
std::vector<WriteSoup> AllForms(const std::string& folder) {
  return {TaskFor(folder, v1::Output::SAFETENSORS), TaskFor(folder, v1::Output::SAFETENSORS, 100),
          TaskFor(folder, v1::Output::TORCH_SAVE)};
}

absl::StatusOr<SoupFiles> Write(const BlendSource& blend, const WriteSoup& task,
                                const Progress& progress = Unwatched,
                                const FailPoints* fail_points = nullptr) {
  return WriteSoupFiles(blend, task, {}, progress, fail_points);
}

TEST(WriteSoupFiles, TheSameWeightsHaveTheSameDigestInEveryForm) {
  for (const char* fixture : {"dtypes.safetensors", "weights.safetensors", "strided.pt"}) {
    const BlendSource blend = BlendOf(fixture);
    const TemporaryFolder folder;
    for (const WriteSoup& task : AllForms(folder.path())) {
      const auto soup = Write(blend, task);
      ASSERT_TRUE(soup.ok()) << fixture << ": " << soup.status();
      EXPECT_EQ(soup->content_digest(), DigestOf(blend));
      for (const SoupFiles::File& file : soup->files()) {
        const std::string content = Content(folder / file.file());
        EXPECT_EQ(file.size_bytes(), static_cast<int64_t>(content.size()));
        EXPECT_EQ(file.sha256(), Sha256Hex(content));
      }
      if (soup->files_size() > 1) continue;
      const auto opened = OpenCheckpoint(folder / soup->files(0).file(), {});
      ASSERT_TRUE(opened.ok()) << opened.status();
      EXPECT_EQ((*opened)->tensors(), blend.ingredients[0]->tensors());
      EXPECT_EQ(SummarizeContent(**opened)->digest, soup->content_digest());
    }
  }
}

TEST(WriteSoupFiles, ShardsHoldAllTensorsAndTheMetadata) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const TemporaryFolder folder;
  const auto soup = Write(blend, TaskFor(folder.path(), v1::Output::SAFETENSORS, 150));
  ASSERT_TRUE(soup.ok()) << soup.status();
  ASSERT_EQ(soup->files_size(), 4);
  const std::string index_name = soup->files(3).file();
  EXPECT_EQ(index_name, "soup.safetensors.index.json");
  EXPECT_EQ(FilesIn(folder.path()), FilesOf(*soup));
  const Json index = *ParseJson(Content(folder / index_name));
  EXPECT_EQ(index["metadata"]["made_by"], "a test");
  EXPECT_EQ(index["metadata"]["total_size"], SummarizeContent(*blend.ingredients[0])->byte_count);
  std::vector<TensorInfo> found;
  for (int i = 0; i < 3; ++i) {
    const std::string name = absl::StrCat("soup-0000", i + 1, "-of-00003.safetensors");
    EXPECT_EQ(soup->files(i).file(), name);
    EXPECT_THAT(Content(folder / name), HasSubstr("\"made_by\":\"a test\""));
    const auto shard = OpenCheckpoint(folder / name, {});
    ASSERT_TRUE(shard.ok()) << shard.status();
    for (const TensorInfo& tensor : (*shard)->tensors()) {
      EXPECT_EQ(index["weight_map"][tensor.name], name);
      found.push_back(tensor);
    }
  }
  EXPECT_EQ(found, blend.ingredients[0]->tensors());
  EXPECT_EQ(index["weight_map"].size(), found.size());
}

TEST(WriteSoupFiles, DiscardKeepsNothingAndGivesTheSameSums) {
  const BlendSource blend = BlendOf("dtypes.safetensors");
  const TemporaryFolder folder;
  for (WriteSoup task : AllForms(folder.path())) {
    const auto kept = Write(blend, task);
    ASSERT_TRUE(kept.ok()) << kept.status();
    task.set_discard(true);
    task.clear_folder();
    const auto discarded = Write(blend, task);
    ASSERT_TRUE(discarded.ok()) << discarded.status();
    EXPECT_EQ(discarded->SerializeAsString(), kept->SerializeAsString());
  }
}

TEST(WriteSoupFiles, ProgressCountsEveryTensorWrittenAndReadBack) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const auto count = static_cast<int64_t>(blend.ingredients[0]->tensors().size());
  const TemporaryFolder folder;
  for (WriteSoup task : AllForms(folder.path())) {
    for (const bool discard : {false, true}) {
      task.set_discard(discard);
      const int64_t expected = discard ? count : 2 * count;
      int64_t last = 0;
      const auto soup = Write(blend, task, [&](int64_t done, int64_t total) {
        EXPECT_EQ(done, ++last);
        EXPECT_EQ(total, expected);
        return absl::OkStatus();
      });
      EXPECT_TRUE(soup.ok()) << soup.status();
      EXPECT_EQ(last, expected);
    }
  }
}

TEST(WriteSoupFiles, AFailureAtAnyStepLeavesNothing) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const TemporaryFolder folder;
  for (const WriteSoup& task : AllForms(folder.path())) {
    int64_t failures = 0;
    while (true) {
      const auto soup = Write(blend, task, [&](int64_t done, int64_t) {
        return done > failures ? absl::CancelledError("enough") : absl::OkStatus();
      });
      if (soup.ok()) break;
      EXPECT_EQ(soup.status().message(), "enough");
      EXPECT_THAT(FilesIn(folder.path()), IsEmpty());
      ++failures;
    }
    EXPECT_EQ(failures, 2 * static_cast<int64_t>(blend.ingredients[0]->tensors().size()));
    for (const std::string& file : FilesIn(folder.path())) {
      std::filesystem::remove(folder / file);
    }
  }
}

TEST(WriteSoupFiles, AFileThatReadsBackOtherwiseIsNotKept) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const auto count = static_cast<int64_t>(blend.ingredients[0]->tensors().size());
  const TemporaryFolder folder;
  for (const int64_t max_shard_bytes : {100, 1000}) {
    const WriteSoup task = TaskFor(folder.path(), v1::Output::SAFETENSORS, max_shard_bytes);
    const auto soup = Write(blend, task, [&](int64_t done, int64_t) {
      if (done != count) return absl::OkStatus();
      // All is written: a byte of the last tensor changes behind the writer's back.
      const std::string scratch = folder / *FilesIn(folder.path()).begin();
      const std::string last_file = scratch + "/" + *FilesIn(scratch).rbegin();
      std::fstream file(last_file, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-1, std::ios::end);
      file.put('\x7a');
      return absl::OkStatus();
    });
    EXPECT_EQ(soup.status().code(), absl::StatusCode::kDataLoss) << soup.status();
    EXPECT_THAT(FilesIn(folder.path()), IsEmpty());
  }
}

TEST(WriteSoupFiles, AFullDiskLeavesNothing) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const TemporaryFolder folder;
  for (const WriteSoup& task : AllForms(folder.path())) {
    int64_t largest = 0;
    auto discard = task;
    discard.set_discard(true);
    const auto whole = Write(blend, discard);
    ASSERT_TRUE(whole.ok()) << whole.status();
    for (const auto& file : whole->files()) largest = std::max(largest, file.size_bytes());
    // At the first byte, the last one, and in between.
    for (const int64_t room : {int64_t{0}, largest / 3, largest / 2, largest - 1}) {
      const FileSizeLimit limit(static_cast<rlim_t>(room));
      const auto soup = Write(blend, task);
      EXPECT_EQ(soup.status().code(), absl::StatusCode::kInternal) << soup.status();
      EXPECT_THAT(soup.status().message(), HasSubstr("cannot write: File too large"));
      EXPECT_THAT(FilesIn(folder.path()), IsEmpty());
    }
  }
}

TEST(WriteSoupFiles, EarlierAttemptsAreReplacedAndOtherFilesAreNot) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / ".soup-part-abcdef");
  std::ofstream(folder / ".soup-part-abcdef/soup.pt") << "half";
  for (const char* other : {"README.md", "soup-part-abcdef", "soup.pt.part"}) {
    std::ofstream(folder / other) << "not ours";
  }
  std::ofstream(folder / "soup.pt") << "of an earlier attempt";
  const auto soup = Write(blend, TaskFor(folder.path(), v1::Output::TORCH_SAVE));
  ASSERT_TRUE(soup.ok()) << soup.status();
  EXPECT_EQ(Sha256Hex(Content(folder / "soup.pt")), soup->files(0).sha256());
  EXPECT_THAT(FilesIn(folder.path()),
              UnorderedElementsAre("README.md", "soup-part-abcdef", "soup.pt", "soup.pt.part"));
}

TEST(WriteSoupFiles, AnAttemptThatWasHeldUpCannotHarmTheNextOne) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const TemporaryFolder folder;
  for (const WriteSoup& task : AllForms(folder.path())) {
    absl::StatusOr<SoupFiles> next = absl::UnknownError("never begun");
    const auto held_up = Write(blend, task, [&](int64_t done, int64_t) {
      if (done == 3) next = Write(blend, task);
      return absl::OkStatus();
    });
    EXPECT_EQ(held_up.status().code(), absl::StatusCode::kNotFound) << held_up.status();
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_EQ(FilesIn(folder.path()), FilesOf(*next));
    for (const SoupFiles::File& file : next->files()) {
      EXPECT_EQ(Sha256Hex(Content(folder / file.file())), file.sha256());
      std::filesystem::remove(folder / file.file());
    }
  }
}

TEST(WriteSoupFiles, RefusesWhatItDoesNotKnow) {
  const BlendSource blend = BlendOf("weights.safetensors");
  const TemporaryFolder folder;
  const auto code = [&](const WriteSoup& task) { return Write(blend, task).status().code(); };
  EXPECT_EQ(code(TaskFor(folder.path(), static_cast<v1::Output::Format>(77))),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(TaskFor(folder.path(), v1::Output::SAFETENSORS, 0)),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(TaskFor(folder / "none", v1::Output::SAFETENSORS)), absl::StatusCode::kNotFound);
  EXPECT_THAT(FilesIn(folder.path()), IsEmpty());
}

TEST(WriteSoupFilesDeathTest, AnEndAtAFailPointIsMadeGoodByTheNextAttempt) {
  const BlendSource blend = BlendOf("weights.safetensors");
  for (const char* point : {"soup_written", "soup_renamed"}) {
    const TemporaryFolder folder, marks;
    const FailPoints fail_points(point, marks / point);
    for (const WriteSoup& task : AllForms(folder.path())) {
      std::filesystem::remove(marks / point);
      EXPECT_EXIT(Write(blend, task, Unwatched, &fail_points).IgnoreError(),
                  testing::KilledBySignal(SIGKILL), "");
      EXPECT_EQ(Content(marks / point), point);
      const std::set<std::string> left = FilesIn(folder.path());
      const auto scratch = std::count_if(left.begin(), left.end(), [](const std::string& name) {
        return absl::StartsWith(name, ".soup-part-");
      });
      EXPECT_EQ(scratch, 1);
      const auto soup = Write(blend, task, Unwatched, &fail_points);
      ASSERT_TRUE(soup.ok()) << soup.status();
      EXPECT_EQ(left.size() - 1, point == std::string("soup_written") ? 0u : FilesOf(*soup).size());
      EXPECT_EQ(FilesIn(folder.path()), FilesOf(*soup));
      for (const std::string& file : FilesOf(*soup)) std::filesystem::remove(folder / file);
    }
  }
}

}  // namespace
}  // namespace stockpot
