#include "server/worker/merge/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "server/base/digest.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "tests/support/failing_calls/failing_calls.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

void Save(const std::string& path, const std::vector<TensorInfo>& tensors, float number) {
  const auto writer = SafetensorsWriter::Create(path, tensors, {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (const TensorInfo& tensor : tensors) {
    std::vector<float> floats(tensor.byte_count() / sizeof(float));
    for (size_t i = 0; i < floats.size(); ++i) floats[i] = number + static_cast<float>(i % 1000);
    ASSERT_TRUE((*writer)
                    ->Append({reinterpret_cast<const char*>(floats.data()), tensor.byte_count()})
                    .ok());
  }
  ASSERT_TRUE((*writer)->Finish().ok());
}

const std::vector<TensorInfo> kTensors = {
    {"a", DType::kFloat32, {3, 1001}}, {"b", DType::kFloat32, {0}}, {"c", DType::kFloat32, {500}}};

class MergeTest : public testing::Test {
 protected:
  MergeTest() {
    for (const auto& [name, number] : {std::pair("0", 1.0F), {"1", 2.5F}, {"2", -3.0F}}) {
      const std::string path = inputs_ / (std::string(name) + ".safetensors");
      Save(path, kTensors, number);
      options_.ingredients.push_back(path);
    }
    options_.out = folder_ / "soup.safetensors";
    options_.software = "stockpot test";
  }

  absl::StatusOr<MergeResult> Run(const Progress& progress = Unwatched) const {
    absl::StatusOr<Merge> merge = Merge::Open(options_);
    return merge.ok() ? merge->Run(progress) : merge.status();
  }

  // What BlendTensor makes of tensor `index`.
  std::string Expected(size_t index) const {
    std::vector<std::shared_ptr<const StateDict>> opened;
    for (const std::string& path : options_.ingredients) {
      opened.push_back(*OpenCheckpoint(path, {}));
    }
    const WeightBlend blend = {opened, options_.coefficients, options_.dtype};
    std::string out(BlendedTensors(blend)[index].byte_count(), '?');
    EXPECT_TRUE(BlendTensor(opened, options_.coefficients, index, options_.dtype,
                            absl::MakeSpan(out.data(), out.size()))
                    .ok());
    return out;
  }

  void ExpectSoup(const std::string& path, size_t first, size_t count) const {
    const auto soup = OpenCheckpoint(path, {});
    ASSERT_TRUE(soup.ok()) << soup.status();
    ASSERT_EQ((*soup)->tensors().size(), count);
    std::vector<char> scratch;
    for (size_t i = 0; i < count; ++i) {
      const auto elements = *(*soup)->Read(i, &scratch);
      EXPECT_TRUE(std::string(elements.begin(), elements.end()) == Expected(first + i)) << i;
    }
  }

  TemporaryFolder inputs_, folder_;
  MergeOptions options_;
};

TEST_F(MergeTest, HasTheBitsOfTheCanonicalArithmetic) {
  for (const auto& coefficients : {std::vector<double>(), {0.1, 0.7, -0.3}}) {
    for (const auto dtype : {std::optional<DType>(), std::optional(DType::kFloat16)}) {
      options_.coefficients = coefficients;
      options_.dtype = dtype;
      const auto result = Run();
      ASSERT_TRUE(result.ok()) << result.status();
      ExpectSoup(options_.out, 0, kTensors.size());
      ASSERT_EQ(result->files.size(), 1u);
      const std::string content = ReadFile(options_.out);
      EXPECT_EQ(result->files[0].byte_count, content.size());
      EXPECT_EQ(result->files[0].sha256, Sha256Hex(content));
      EXPECT_THAT(FilesIn(folder_.path()), ElementsAre("soup.safetensors"));
    }
  }
}

TEST_F(MergeTest, SaysInTheFileWhatItIsMadeOf) {
  options_.coefficients = {0.25, 0.5, 0.25};
  ASSERT_TRUE(Run().ok());
  const std::string content = ReadFile(options_.out);
  uint64_t header_size = 0;
  std::memcpy(&header_size, content.data(), sizeof(header_size));
  const auto header = ParseJson(absl::string_view(content).substr(8, header_size));
  ASSERT_TRUE(header.ok()) << header.status();
  const Json& metadata = (*header)["__metadata__"];
  EXPECT_EQ(metadata["format"], "pt");
  EXPECT_EQ(metadata["stockpot.software"], "stockpot test");
  const auto ingredients = ParseJson(metadata["stockpot.ingredients"].get<std::string>());
  ASSERT_TRUE(ingredients.ok()) << ingredients.status();
  ASSERT_EQ(ingredients->size(), 3u);
  EXPECT_EQ((*ingredients)[1]["name"], "1.safetensors");
  EXPECT_EQ((*ingredients)[1]["coefficient"], 0.5);
}

TEST_F(MergeTest, DividesALargeSoupAmongFilesWithAnIndex) {
  options_.max_shard_bytes = 12100;  // a and b
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(FilesIn(folder_.path()),
              ElementsAre("soup-00001-of-00002.safetensors", "soup-00002-of-00002.safetensors",
                          "soup.safetensors.index.json"));
  ExpectSoup(folder_ / "soup-00001-of-00002.safetensors", 0, 2);
  ExpectSoup(folder_ / "soup-00002-of-00002.safetensors", 2, 1);
  const auto index = ParseJson(ReadFile(folder_ / "soup.safetensors.index.json"));
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ((*index)["weight_map"]["c"], "soup-00002-of-00002.safetensors");
}

TEST_F(MergeTest, GivesTheDigestsOfIngredientsWhereAsked) {
  options_.digests = true;
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  std::vector<std::string> expected;
  for (const std::string& path : options_.ingredients) {
    expected.push_back(SummarizeContent(**OpenCheckpoint(path, {}))->digest);
  }
  EXPECT_EQ(result->ingredient_digests, expected);
  ExpectSoup(options_.out, 0, kTensors.size());
}

TEST_F(MergeTest, PlansBeforeItWrites) {
  options_.dtype = DType::kBFloat16;
  options_.threads = 3;
  const auto merge = Merge::Open(options_);
  ASSERT_TRUE(merge.ok()) << merge.status();
  const MergePlan& plan = merge->plan();
  EXPECT_EQ(plan.bytes_read, 3u * 4 * 3503);
  EXPECT_EQ(plan.bytes_written, 2u * 3503);
  EXPECT_EQ(plan.ingredients, 3u);
  EXPECT_EQ(plan.tensors, 3u);
  EXPECT_EQ(plan.threads, 3);
  EXPECT_THAT(plan.files, ElementsAre(options_.out));
  EXPECT_EQ(plan.peak_bytes,
            plan.program_bytes + plan.buffer_bytes + plan.mapped_bytes + plan.copied_bytes);
  EXPECT_THAT(FilesIn(folder_.path()), IsEmpty());
}

TEST_F(MergeTest, RefusesWhatCannotBeAveragedAndWritesNothing) {
  Save(inputs_ / "other.safetensors",
       {{"a", DType::kFloat32, {3003}}, {"b", DType::kFloat32, {0}}, {"d", DType::kFloat32, {500}}},
       1);
  std::ofstream(inputs_ / "text.safetensors") << "no checkpoint, as anybody sees";
  const auto refused = [&](const std::function<void(MergeOptions*)>& change) {
    const MergeOptions before = options_;
    change(&options_);
    const absl::Status status = Run().status();
    options_ = before;
    EXPECT_THAT(FilesIn(folder_.path()), IsEmpty());
    return std::string(status.message());
  };
  const std::string mismatch = refused(
      [&](MergeOptions* options) { options->ingredients[1] = inputs_ / "other.safetensors"; });
  EXPECT_THAT(mismatch, HasSubstr("checkpoint " + inputs_.path() + "/other.safetensors: "));
  EXPECT_THAT(mismatch, HasSubstr("tensor 'a': shape [3003], expected [3, 1001]"));
  EXPECT_THAT(mismatch, HasSubstr("tensor 'c': is missing"));
  EXPECT_THAT(refused([&](MergeOptions* options) {
                options->ingredients[2] = inputs_ / "text.safetensors";
              }),
              HasSubstr("text.safetensors: not a checkpoint"));
  EXPECT_THAT(refused([&](MergeOptions* options) { options->ingredients[2] = inputs_ / "none"; }),
              HasSubstr("none: cannot open"));
  EXPECT_EQ(refused([](MergeOptions* options) {
              options->coefficients = {1, 2};
            }),
            "2 coefficients for 3 ingredients: one for each");
  EXPECT_EQ(refused([](MergeOptions* options) {
              options->coefficients = {1, 2, INFINITY};
            }),
            "coefficient inf");
  EXPECT_EQ(refused([](MergeOptions* options) { options->ingredients.clear(); }), "no ingredients");
  EXPECT_THAT(refused([&](MergeOptions* options) { options->out = folder_ / "soup.pt"; }),
              HasSubstr("must end in .safetensors"));
  EXPECT_THAT(refused([&](MergeOptions* options) { options->out = folder_ / "no/s.safetensors"; }),
              HasSubstr("no folder"));
  EXPECT_THAT(refused([](MergeOptions* options) { options->out = options->ingredients[0]; }),
              HasSubstr("would replace its ingredient"));
}

TEST_F(MergeTest, AFailureOrAnInterruptionLeavesTheOldSoup) {
  std::ofstream(options_.out) << "old";
  EXPECT_EQ(
      Run([](int64_t, int64_t) { return absl::CancelledError("interrupted"); }).status().message(),
      "interrupted");
  {
    const FileSizeLimit limit(5000);
    EXPECT_THAT(std::string(Run().status().message()), HasSubstr("cannot write"));
  }
  EXPECT_THAT(FilesIn(folder_.path()), ElementsAre("soup.safetensors"));
  EXPECT_EQ(ReadFile(options_.out), "old");
}

TEST_F(MergeTest, EveryFailingCallLeavesAWholeSoupOrNone) {
  options_.max_shard_bytes = 12100;
  int failures = 0;
  for (int64_t n = 1; !HasFailure(); ++n) {
    const TemporaryFolder folder;
    options_.out = folder / "soup.safetensors";
    FailingCalls calls(folder.path(), {.first = n, .error = ENOSPC, .only_writes = true});
    const auto result = Run();
    if (calls.failed().empty()) {
      EXPECT_TRUE(result.ok()) << result.status();
      break;
    }
    SCOPED_TRACE(calls.failed());
    calls.Mend();
    ++failures;
    if (!result.ok()) {
      EXPECT_EQ(GetErrorFacts(result.status()).reason, "DISK_FULL");
    }
    for (const std::string& name : FilesIn(folder.path())) {
      EXPECT_THAT(name, testing::Not(HasSubstr(".part-")));
      if (name == "soup-00001-of-00002.safetensors") ExpectSoup(folder / name, 0, 2);
      if (name == "soup-00002-of-00002.safetensors") ExpectSoup(folder / name, 2, 1);
    }
  }
  EXPECT_GT(failures, 5) << "are the calls interposed?";
}

}  // namespace
}  // namespace stockpot
