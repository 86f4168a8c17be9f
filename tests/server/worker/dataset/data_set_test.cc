#include "server/worker/dataset/data_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "server/base/files.h"
#include "server/base/status.h"
#include "tests/server/worker/dataset/fixtures.h"
#include "tests/support/shared_data.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Code, reason, and a part of the message.
void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& reason,
                 const std::string& message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_EQ(GetErrorFacts(status).reason, reason) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

// ---- Image folders ----

TEST(ImageFolder, OrdersExamplesAsTorchvisionDoes) {
  DataSetFolder folder;
  // By folder, then by name: upper case first, and "b/a-b" lies between "b/a" and "b/a/c".
  folder.WriteFixtures({{"b/2.jpg", "420.jpg"},
                        {"b/10.JPG", "422.jpg"},
                        {"b/a-b/1.jpeg", "rgb.jpg"},
                        {"b/a/1.jpg", "grey.jpg"},
                        {"b/a/c/0.jpg", "progressive.jpg"},
                        {"B/z.jpg", "444.jpg"}});
  folder.Write("b/notes.txt", "ignored");
  folder.Write("b/.hidden.jpg", "ignored");
  folder.Write(".cache/x.jpg", "ignored");
  folder.Write("readme.md", "ignored");
  const auto data_set = folder.Open();
  ASSERT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_THAT((*data_set)->class_names(), ElementsAre("B", "b"));
  EXPECT_THAT((*data_set)->labels(), ElementsAre(0, 1, 1, 1, 1, 1));
  EXPECT_EQ((*data_set)->class_count(), 2);
  ASSERT_EQ((*data_set)->inputs().size(), 1u);
  EXPECT_EQ((*data_set)->inputs()[0].name, "images");
  EXPECT_THAT((*data_set)->inputs()[0].shape, ElementsAre(3, 37, 45));
  const auto expected = ExpectedImages("decode/");
  const char* order[] = {"444.jpg", "422.jpg", "420.jpg", "grey.jpg", "rgb.jpg", "progressive.jpg"};
  for (int64_t i = 0; i < 6; ++i) {
    const std::vector<uint8_t>& pixels = expected.at(order[i]).pixels;
    const char* planes = (*data_set)->example(0, i);
    for (size_t p = 0; p < pixels.size(); ++p) {
      const size_t at = p % 3 * pixels.size() / 3 + p / 3;
      ASSERT_EQ(static_cast<uint8_t>(planes[at]), pixels[p]) << order[i] << " " << p;
    }
  }
}

TEST(ImageFolder, ClassNamesSetTheLabels) {
  DataSetFolder folder;
  folder.WriteFixtures({{"cat/1.jpg", "444.jpg"}, {"dog/1.jpg", "420.jpg"}});
  DataSetSource source = folder.Source();
  source.class_names = {"dog", "bird", "cat"};
  const auto data_set = folder.Open(source);
  ASSERT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_THAT((*data_set)->labels(), ElementsAre(0, 2));
  EXPECT_EQ((*data_set)->class_count(), 3);
  source.class_names = {"dog", "bird"};
  ExpectError(folder.Open(source).status(), absl::StatusCode::kInvalidArgument, "DATA_SET_INVALID",
              "cat");
}

TEST(ImageFolder, FollowsLinksInsideAndRefusesLinksThatLeave) {
  DataSetFolder folder;
  folder.WriteFixtures({{"cat/1.jpg", "444.jpg"}, {"../outside.jpg", "444.jpg"}});
  std::filesystem::create_symlink("1.jpg", folder.path() + "/cat/2.jpg");
  const auto data_set = folder.Open();
  ASSERT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_EQ((*data_set)->size(), 2);
  std::filesystem::create_symlink("../../outside.jpg", folder.path() + "/cat/3.jpg");
  ExpectError(folder.Open().status(), absl::StatusCode::kInvalidArgument, "DATA_SET_INVALID",
              "cat/3.jpg");
  std::filesystem::remove(folder.path() + "/cat/3.jpg");
  std::filesystem::create_directory_symlink("..", folder.path() + "/cat/loop");
  ExpectError(folder.Open().status(), absl::StatusCode::kInvalidArgument, "DATA_SET_INVALID",
              "cat/loop");
}

TEST(ImageFolder, RefusesALinkToNothing) {
  DataSetFolder folder;
  folder.WriteFixtures({{"cat/1.jpg", "444.jpg"}});
  std::filesystem::create_symlink("gone.jpg", folder.path() + "/cat/2.jpg");
  ExpectError(folder.Open().status(), absl::StatusCode::kInvalidArgument, "DATA_SET_INVALID",
              "cat/2.jpg: a symbolic link to nothing");
}

TEST(ImageFolder, NamesTheFileAtFault) {
  const std::string jpeg = ReadFixture("444.jpg");
  const struct {
    std::string file, content, reason, message;
    absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  } cases[] = {
      {"cat/2.jpg", jpeg.substr(0, jpeg.size() / 2), "IMAGE_UNREADABLE", "cat/2.jpg"},
      {"cat/2.jpg", "just text", "IMAGE_UNREADABLE", "cat/2.jpg: not a JPEG, PNG or WebP image"},
      {"cat/2.png", "", "IMAGE_UNREADABLE", "cat/2.png: the file is empty"},
      {"cat/2.png", ReadFixture("rgb.png"), "DATA_SET_INVALID", "cat/2.png: 17 x 13 pixels"},
      {"cat/2.bmp", "BM", "DATA_SET_INVALID", "cat/2.bmp"},
      {"dog/notes.txt", "", "DATA_SET_EMPTY", "dog"},
  };
  for (const auto& test : cases) {
    DataSetFolder folder;
    folder.WriteFixtures({{"cat/1.jpg", "444.jpg"}, {"cat/3.jpg", "420.jpg"}});
    folder.Write(test.file, test.content);
    ExpectError(folder.Open().status(), test.code, test.reason, test.message);
    EXPECT_TRUE(folder.CacheFiles(".part-").empty()) << test.file;
  }
}

TEST(ImageFolder, NamesTheFirstOfManyFilesAtFault) {
  DataSetFolder folder;
  for (int i = 100; i < 140; ++i) folder.Write("cat/" + std::to_string(i) + ".jpg", "text");
  folder.WriteFixtures({{"cat/000.jpg", "444.jpg"}});
  EXPECT_EQ(GetErrorFacts(folder.Open().status()).metadata["file"], "cat/100.jpg");
}

TEST(ImageFolder, RefusesWhatIsMissingEmptyOrNoFolder) {
  DataSetFolder folder;
  ExpectError(folder.Open().status(), absl::StatusCode::kNotFound, "DATA_SET_NOT_FOUND", "");
  folder.Write("file", "x");
  ExpectError(folder.Open().status(), absl::StatusCode::kInvalidArgument, "DATA_SET_EMPTY", "");
  DataSetSource source = folder.Source();
  source.path += "/file";
  ExpectError(folder.Open(source).status(), absl::StatusCode::kInvalidArgument, "DATA_SET_INVALID",
              "");
}

TEST(ImageFolder, FoldersOfSplitsAreNoClasses) {
  DataSetFolder folder;
  folder.Write("train/cat/0.jpg", ReadFixture("444.jpg"));
  folder.Write("val/cat/0.jpg", ReadFixture("444.jpg"));
  const absl::Status status = folder.Open(folder.Source()).status();
  EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("splits, not classes: train, val"));
  DataSetSource source = folder.Source();
  source.class_names = {"train", "val"};
  EXPECT_TRUE(folder.Open(source).ok());
}

TEST(ImageFolder, KeepsTheLimits) {
  DataSetFolder folder;
  folder.WriteFixtures({{"cat/1.jpg", "444.jpg"}, {"cat/2.jpg", "420.jpg"}});
  DataSetLimits limits;
  limits.max_examples = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(folder.Open(folder.Source(), limits).status()));
  limits = {};
  limits.max_file_bytes = 100;
  EXPECT_TRUE(absl::IsInvalidArgument(folder.Open(folder.Source(), limits).status()));
  limits = {};
  limits.max_image_pixels = 100;
  const absl::Status status = folder.Open(folder.Source(), limits).status();
  ExpectError(status, absl::StatusCode::kInvalidArgument, "IMAGE_UNREADABLE", "cat/1.jpg");
}

// ---- Tensors ----

TestTensor IntLabels(const std::vector<int64_t>& values) {
  return MakeTensor("labels", DType::kInt64, {static_cast<int64_t>(values.size())}, values);
}

TEST(Tensors, AreMappedUnderTheirNames) {
  TemporaryFolder folder;
  DataSetSource source = WriteTensors(
      folder / "d",
      {IntLabels({2, 0}), MakeTensor<float>("b", DType::kFloat32, {2, 3}, {1, 2, 3, 4, 5, 6}),
       MakeTensor<int32_t>("a", DType::kInt32, {2}, {7, 8})});
  const auto data_set = OpenDataSet(source, folder / "cache", {});
  ASSERT_TRUE(data_set.ok()) << data_set.status();
  EXPECT_THAT((*data_set)->labels(), ElementsAre(2, 0));
  EXPECT_EQ((*data_set)->class_count(), 3);
  EXPECT_TRUE((*data_set)->class_names().empty());
  ASSERT_EQ((*data_set)->inputs().size(), 2u);
  EXPECT_EQ((*data_set)->inputs()[0].name, "a");
  EXPECT_TRUE((*data_set)->inputs()[0].shape.empty());
  EXPECT_THAT((*data_set)->inputs()[1].shape, ElementsAre(3));
  float last;
  std::memcpy(&last, (*data_set)->example(1, 1) + 2 * sizeof(float), sizeof(last));
  EXPECT_EQ(last, 6);

  source.inputs = {"b"};
  const auto one = OpenDataSet(source, folder / "cache", {});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ((*one)->inputs().size(), 1u);
  EXPECT_NE((*one)->digest(), (*data_set)->digest());
}

// Of a checkpoint they would be a wrapper's, and taken off.
TEST(Tensors, NamesThatBeginAlikeStayAsTheyAre) {
  TemporaryFolder folder;
  DataSetSource source =
      WriteTensors(folder / "d", {MakeTensor<int64_t>("module.y", DType::kInt64, {2}, {1, 0}),
                                  MakeTensor<uint8_t>("module.x", DType::kUint8, {2}, {5, 6})});
  source.label_tensor = "module.y";
  for (const int64_t limit : {0, 1}) {  // as the file has them, and out of the cache
    source.selection.limit = limit;
    for (const char* const round : {"made", "found"}) {
      const auto data_set = OpenDataSet(source, folder / "cache", {});
      ASSERT_TRUE(data_set.ok()) << data_set.status() << " " << limit << " " << round;
      EXPECT_EQ((*data_set)->inputs()[0].name, "module.x");
      EXPECT_EQ((*data_set)->labels()[0], 1);
    }
  }
}

TEST(Tensors, LabelsOfEveryIntegerTypeAreTheSameDataSet) {
  TemporaryFolder folder;
  const TestTensor input = MakeTensor<uint8_t>("x", DType::kUint8, {3, 1}, {5, 6, 7});
  std::set<std::string> digests;
  int count = 0;
  for (const TestTensor& labels :
       {IntLabels({1, 0, 100}), MakeTensor<int32_t>("labels", DType::kInt32, {3}, {1, 0, 100}),
        MakeTensor<int16_t>("labels", DType::kInt16, {3}, {1, 0, 100}),
        MakeTensor<int8_t>("labels", DType::kInt8, {3}, {1, 0, 100}),
        MakeTensor<uint8_t>("labels", DType::kUint8, {3}, {1, 0, 100})}) {
    const auto data_set = OpenDataSet(
        WriteTensors(folder / std::to_string(count++), {labels, input}), folder / "cache", {});
    ASSERT_TRUE(data_set.ok()) << data_set.status();
    EXPECT_THAT((*data_set)->labels(), ElementsAre(1, 0, 100));
    digests.insert((*data_set)->digest());
  }
  EXPECT_EQ(digests.size(), 1u);
}

TEST(Tensors, RefusesWhatIsNoDataSet) {
  const TestTensor input = MakeTensor<uint8_t>("x", DType::kUint8, {2, 1}, {5, 6});
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  const struct {
    std::vector<TestTensor> tensors;
    std::string reason, message;
  } cases[] = {
      {{input}, "DATA_SET_INVALID", "no tensor 'labels'; there are: x"},
      {{IntLabels({0, 1})}, "DATA_SET_INVALID", "no tensor besides the labels"},
      {{IntLabels({0, 1, 2}), input}, "DATA_SET_INVALID", "tensor 'x' of shape [2, 1]"},
      {{IntLabels({0, -1}), input}, "LABEL_OUT_OF_RANGE", "label of example 1 is -1"},
      {{IntLabels({int64_t{1} << 40, 0}), input}, "LABEL_OUT_OF_RANGE", "label of example 0"},
      {{IntLabels({}), MakeTensor<uint8_t>("x", DType::kUint8, {0, 1}, {})}, "DATA_SET_EMPTY", ""},
      {{IntLabels({0, 1}), MakeTensor<uint8_t>("x", DType::kUint8, {2, 0}, {})},
       "DATA_SET_INVALID",
       "'x' of shape [2, 0] is empty"},
      {{IntLabels({0, 1}), MakeTensor<uint8_t>("x", DType::kUint8, {}, {1})},
       "DATA_SET_INVALID",
       "'x'"},
  };
  for (const auto& test : cases) {
    TemporaryFolder folder;
    const DataSetSource source = WriteTensors(folder / "d", test.tensors);
    ExpectError(OpenDataSet(source, folder / "cache", {}).status(), kInvalid, test.reason,
                test.message);
  }
}

TEST(Tensors, RefusesUnknownAndRepeatedInputs) {
  TemporaryFolder folder;
  DataSetSource source = WriteTensors(
      folder / "d", {IntLabels({0, 1}), MakeTensor<uint8_t>("x", DType::kUint8, {2}, {5, 6})});
  for (const std::vector<std::string>& inputs :
       {std::vector<std::string>{"y"}, std::vector<std::string>{"x", "x"}}) {
    source.inputs = inputs;
    ExpectError(OpenDataSet(source, folder / "cache", {}).status(),
                absl::StatusCode::kInvalidArgument, "DATA_SET_INVALID", "");
  }
}

TEST(Tensors, RefusesMissingAndDamagedFiles) {
  TemporaryFolder folder;
  DataSetSource source = WriteTensors(
      folder / "d", {IntLabels({0, 1}), MakeTensor<uint8_t>("x", DType::kUint8, {2}, {5, 6})});
  std::filesystem::resize_file(source.path, std::filesystem::file_size(source.path) - 1);
  EXPECT_EQ(GetErrorFacts(OpenDataSet(source, folder / "cache", {}).status()).reason,
            "DATA_SET_INVALID");
  source.path = folder / "none";
  ExpectError(OpenDataSet(source, folder / "cache", {}).status(), absl::StatusCode::kNotFound,
              "DATA_SET_NOT_FOUND", "");
}

// ---- Both ----

TEST(DataSet, AFolderAndTheTensorsThatPillowMakesOfItAreOneDataSet) {
  const std::string sweep = SharedData();
  if (sweep.empty()) GTEST_SKIP() << kNoSharedData;
  TemporaryFolder cache;
  DataSetSource source;
  source.path = sweep + "/held_out";
  const auto folder = OpenDataSet(source, cache.path(), {});
  ASSERT_TRUE(folder.ok()) << folder.status();
  source.kind = DataSetSource::Kind::kTensors;
  source.path += ".safetensors";
  const auto tensors = OpenDataSet(source, cache.path(), {});
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ((*folder)->size(), 2500);
  EXPECT_EQ((*folder)->digest(), (*tensors)->digest());
  EXPECT_EQ((*folder)->class_count(), (*tensors)->class_count());
}

}  // namespace
}  // namespace stockpot
