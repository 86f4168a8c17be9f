// Lists of differing length, and weights, out of every format that has them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "tests/server/worker/dataset/fixtures.h"
#include "tests/support/data_set_writer/data_set_writer.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = DataSetSource::Kind;
using Rows = std::vector<std::vector<int64_t>>;

const Rows kIds = {{5, 6, 7}, {8}, {9, 10, 11, 12}, {13, 14}};
const Rows kMask = {{1, 1, 0}, {1}, {1, 1, 1, 1}, {1, 0}};

class ListsTest : public testing::Test {
 protected:
  DataSetSource Write(Kind kind, ParquetTable table) {
    const std::string name = absl::StrCat("set-", files_++);
    DataSetSource source;
    source.kind = kind;
    source.path = folder_.path() + "/" + name;
    if (kind == Kind::kParquet) {
      folder_.Write(name, "");
      WriteParquet(source.path, table);
      source.files = {{name, source.path}};
    } else {
      folder_.Write(name, JsonLinesOf(table));
    }
    return source;
  }

  DataSetSource WriteText(const std::string& lines) {
    const std::string name = absl::StrCat("set-", files_++);
    folder_.Write(name, lines);
    DataSetSource source;
    source.kind = Kind::kJsonLines;
    source.path = folder_.path() + "/" + name;
    return source;
  }

  std::shared_ptr<const DataSet> Open(const DataSetSource& source) {
    auto data_set = folder_.Open(source);
    EXPECT_TRUE(data_set.ok()) << data_set.status();
    return data_set.ok() ? *data_set : nullptr;
  }

  void ExpectRefused(const DataSetSource& source, const std::string& message,
                     const DataSetLimits& limits = {}) {
    const absl::Status status = folder_.Open(source, limits).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_THAT(folder_.CacheFiles(".part-"), IsEmpty());
  }

  DataSetFolder folder_;
  int files_ = 0;
};

Rows IntegersOf(const DataSet& data_set, size_t input) {
  Rows rows;
  for (int64_t i = 0; i < data_set.size(); ++i) {
    auto& row = rows.emplace_back(static_cast<size_t>(data_set.length(i)));
    std::memcpy(row.data(), data_set.example(input, i), row.size() * sizeof(int64_t));
  }
  return rows;
}

ParquetTable Texts() {
  return {.numbers = {{"label", {1, 0, 2, 1}}},
          .tokens = {{"input_ids", kIds}, {"attention_mask", kMask}}};
}

TEST_F(ListsTest, OfDifferingLengthAreOneDataSetInEveryFormat) {
  std::set<std::string> digests;
  for (const int64_t rows_per_group : {1, 3, 100}) {
    ParquetTable table = Texts();
    table.rows_per_group = rows_per_group;
    for (const Kind kind : {Kind::kParquet, Kind::kJsonLines}) {
      const DataSetSource source = Write(kind, table);
      for (const char* const round : {"made", "found"}) {
        SCOPED_TRACE(round);
        const auto data_set = Open(source);
        ASSERT_NE(data_set, nullptr);
        ASSERT_EQ(data_set->inputs().size(), 2u);
        EXPECT_EQ(data_set->inputs()[1].name, "input_ids");
        EXPECT_THAT(data_set->inputs()[1].shape, ElementsAre(kAnyLength));
        EXPECT_EQ(data_set->inputs()[1].byte_count, sizeof(int64_t));
        EXPECT_EQ(IntegersOf(*data_set, 0), kMask);
        EXPECT_EQ(IntegersOf(*data_set, 1), kIds);
        EXPECT_THAT(data_set->labels(), ElementsAre(1, 0, 2, 1));
        digests.insert(data_set->digest());
      }
    }
  }
  EXPECT_EQ(digests.size(), 1u);
}

TEST_F(ListsTest, ASelectionOfThemIsTheSetThatHasTheseAlone) {
  DataSetSource some = Write(Kind::kParquet, Texts());
  some.label_map = {{"1", "1"}, {"2", "0"}, {"0", ""}};
  some.selection.limit = 2;
  const ParquetTable rest = {
      .numbers = {{"label", {1, 0}}},
      .tokens = {{"input_ids", {kIds[0], kIds[2]}}, {"attention_mask", {kMask[0], kMask[2]}}}};
  EXPECT_EQ(Open(some)->digest(), Open(Write(Kind::kJsonLines, rest))->digest());
  // Those that are left may have one length.
  some.selection.limit = 1;
  EXPECT_EQ(Open(some)->length(0), 0);
  EXPECT_THAT(Open(some)->inputs()[1].shape, ElementsAre(3));
}

TEST_F(ListsTest, OfOneLengthAreTensorsAsOthers) {
  const ParquetTable table = {.numbers = {{"label", {1, 0}}},
                              .tokens = {{"input_ids", {{1, 2}, {3, 4}}}}};
  const DataSetSource tensors =
      WriteTensors(folder_.cache_path() + "-tensors",
                   {MakeTensor<int64_t>("labels", DType::kInt64, {2}, {1, 0}),
                    MakeTensor<int64_t>("input_ids", DType::kInt64, {2, 2}, {1, 2, 3, 4})});
  for (const Kind kind : {Kind::kParquet, Kind::kJsonLines}) {
    EXPECT_EQ(Open(Write(kind, table))->digest(), Open(tensors)->digest());
  }
}

TEST_F(ListsTest, TokensToPredictAreIgnoredBehindTheirEnd) {
  for (const Kind kind : {Kind::kParquet, Kind::kJsonLines}) {
    const auto data_set = Open(Write(kind, {.tokens = {{"x", kIds}, {"labels", kIds}}}));
    ASSERT_NE(data_set, nullptr);
    EXPECT_EQ(data_set->label_kind(), LabelKind::kTokens);
    EXPECT_THAT(data_set->labels().subspan(0, 8), ElementsAre(5, 6, 7, -100, 8, -100, -100, -100));
  }
}

TEST_F(ListsTest, PadValuesAreThoseOfInputsThatDiffer) {
  DataSetSource source = Write(Kind::kParquet, Texts());
  const std::string digest = Open(source)->digest();
  source.pad_values = {{"input_ids", 3}};
  const auto data_set = Open(source);
  EXPECT_EQ(data_set->inputs()[0].pad_value, 0);
  EXPECT_EQ(data_set->inputs()[1].pad_value, 3);
  EXPECT_NE(data_set->digest(), digest);
  source.pad_values = {{"tokens", 3}};
  ExpectRefused(source, "'tokens', which is no input");
  source.pad_values = {{"input_ids", 0.5}};
  ExpectRefused(source, "cannot hold 0.5");
}

TEST_F(ListsTest, WhatDoesNotGoTogetherIsRefused) {
  DataSetLimits limits;
  limits.max_length = 3;
  ExpectRefused(Write(Kind::kParquet, Texts()), "example 2: 'attention_mask' has 4 elements: the",
                limits);
  limits = {};
  limits.max_examples = 15;
  ExpectRefused(Write(Kind::kJsonLines, {.tokens = {{"x", kIds}, {"labels", kIds}}}),
                "padded to 4 labels each", limits);
  const ParquetNumbers labels = {"label", {0, 1, 0, 1}};
  const Rows other = {{1, 2}, {1}, {1}, {1}}, even = {{1, 2}, {1, 2}, {1, 2}, {1, 2}};
  const Rows empty = {{1}, {}, {1, 2}, {3}};
  for (const Kind kind : {Kind::kParquet, Kind::kJsonLines}) {
    ExpectRefused(Write(kind, {.numbers = {labels}, .tokens = {{"a", kIds}, {"b", other}}}),
                  "example 0: 'b' has 2 elements and 'a' 3");
    ExpectRefused(Write(kind, {.numbers = {labels}, .tokens = {{"a", empty}}}),
                  kind == Kind::kParquet ? "row 1 of its row group is an empty list"
                                         : "line 2: field 'a' is no list of numbers that has any");
    ExpectRefused(Write(kind, {.tokens = {{"labels", kIds}, {"x", even}}}), "no input does");
    ExpectRefused(Write(kind, {.tokens = {{"labels", even}, {"x", kIds}}}), "all of one length");
    ExpectRefused(Write(kind, {.numbers = {labels}, .tokens = {{"stockpot.lengths", kIds}}}),
                  "no tensor may be called");
  }
}

TEST_F(ListsTest, JsonLinesAreReadByTheirFirstLine) {
  const auto data_set = Open(
      WriteText("\n{\"id\": \"a\", \"x\": [1, 2], \"score\": 1, \"labels\": 0, \"none\": null}\n\n"
                "{\"id\": \"b\", \"x\": [3], \"score\": 2.5, \"labels\": 1, \"more\": [\"y\"]}"));
  ASSERT_NE(data_set, nullptr);
  ASSERT_EQ(data_set->inputs().size(), 2u);
  EXPECT_EQ(data_set->inputs()[0].name, "score");
  EXPECT_EQ(data_set->inputs()[0].dtype, DType::kFloat32);
  float scores[2];
  std::memcpy(scores, data_set->example(0, 0), sizeof(scores));
  EXPECT_THAT(scores, ElementsAre(1, 2.5f));
  EXPECT_EQ(IntegersOf(*data_set, 1), (Rows{{1, 2}, {3}}));
}

TEST_F(ListsTest, JsonLinesOfASplitAndOfChosenFields) {
  DataSetSource source = WriteText(
      "{\"x\": [1, 2], \"y\": 7, \"label\": 0, \"split\": \"test\"}\n"
      "{\"x\": [1], \"y\": \"gone\", \"label\": 1, \"split\": \"train\"}\n"
      "{\"x\": [3], \"y\": 8, \"label\": 1, \"split\": \"test\"}\n");
  source.split = "test";
  source.inputs = {"y"};
  const auto data_set = Open(source);
  ASSERT_NE(data_set, nullptr);
  EXPECT_THAT(data_set->labels(), ElementsAre(0, 1));
  EXPECT_EQ(data_set->inputs().size(), 1u);
  source.split = "none";
  EXPECT_EQ(GetErrorFacts(folder_.Open(source).status()).reason, "DATA_SET_EMPTY");
}

TEST_F(ListsTest, BadJsonLinesAreRefused) {
  const std::string first = "{\"x\": [1, 2], \"label\": 0}\n";
  const std::pair<std::string, std::string> cases[] = {
      {"{\"x\": [1], \"label\": 0", "line 2"},
      {"[1]", "line 2: not a JSON object"},
      {"{\"label\": 0}", "line 2: field 'x' is missing"},
      {"{\"x\": 1, \"label\": 0}", "line 2: field 'x' is no list"},
      {"{\"x\": [1, \"a\"], \"label\": 0}", "line 2: field 'x' is no list"},
      {"{\"x\": [[1]], \"label\": 0}", "line 2: field 'x' is no list"},
      {"{\"x\": [1], \"label\": [0]}", "line 2: field 'label' is no number"},
      {"{\"x\": [18446744073709551615], \"label\": 0}", "beyond 2^63"},
  };
  for (const auto& [line, message] : cases) ExpectRefused(WriteText(first + line), message);
  DataSetLimits limits;
  limits.max_examples = 1;
  ExpectRefused(WriteText(first + first), "more than 1 examples", limits);
  limits.max_line_bytes = 10;
  DataSetSource chosen = WriteText(first);
  chosen.inputs = {"x"};
  ExpectRefused(chosen, "longer than 10 bytes", limits);
  chosen.inputs = {"z"};
  ExpectRefused(chosen, "no tensor 'z'");
}

// ---- Weights ----

TEST_F(ListsTest, WeightsAreNoInputAndPartOfTheDigest) {
  ParquetTable table = Texts();
  const std::string plain = Open(Write(Kind::kParquet, table))->digest();
  table.numbers.push_back({"weight", {2, 0, 1, 3}});
  std::set<std::string> digests;
  for (const Kind kind : {Kind::kParquet, Kind::kJsonLines}) {
    DataSetSource source = Write(kind, table);
    source.weight_tensor = "weight";
    for (const int64_t limit : {0, 4}) {
      source.selection.limit = limit;
      const auto data_set = Open(source);
      ASSERT_NE(data_set, nullptr);
      EXPECT_EQ(data_set->inputs().size(), 2u);
      EXPECT_THAT(data_set->weights(), ElementsAre(2, 0, 1, 3));
      digests.insert(data_set->digest());
    }
    source.selection.limit = 3;
    EXPECT_THAT(Open(source)->weights(), ElementsAre(2, 0, 1));
  }
  EXPECT_EQ(digests.size(), 1u);
  EXPECT_EQ(digests.count(plain), 0u);
}

TEST_F(ListsTest, WeightsOfTensorsAreReadFromEveryType) {
  const auto open = [&](const TestTensor& weights) {
    DataSetSource source =
        WriteTensors(folder_.cache_path() + absl::StrCat("-", files_++),
                     {MakeTensor<int64_t>("labels", DType::kInt64, {2}, {1, 0}),
                      MakeTensor<float>("x", DType::kFloat32, {2}, {1, 2}), weights});
    source.weight_tensor = "w";
    return folder_.Open(source);
  };
  const auto expect = [&](const TestTensor& weights, double first, double second) {
    const auto data_set = open(weights);
    ASSERT_TRUE(data_set.ok()) << data_set.status();
    EXPECT_THAT((*data_set)->weights(), ElementsAre(first, second));
    EXPECT_EQ((*data_set)->inputs().size(), 1u);
  };
  expect(MakeTensor<float>("w", DType::kFloat32, {2}, {0.5f, 0}), 0.5, 0);
  expect(MakeTensor<double>("w", DType::kFloat64, {2}, {0.1, 3}), 0.1, 3);
  expect(MakeTensor<uint8_t>("w", DType::kUint8, {2}, {1, 200}), 1, 200);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const double huge = std::numeric_limits<double>::max();
  const std::pair<TestTensor, std::string> cases[] = {
      {MakeTensor<float>("w", DType::kFloat32, {2}, {1, -1}), "weight of example 1 is -1"},
      {MakeTensor<float>("w", DType::kFloat32, {2}, {nan, 1}), "weight of example 0 is nan"},
      {MakeTensor<double>("w", DType::kFloat64, {2}, {huge, huge}), "add up"},
      {MakeTensor<float>("w", DType::kFloat32, {2}, {0, 0}), "are all 0"},
      {MakeTensor<float>("w", DType::kFloat32, {2, 1}, {1, 1}), "one number an example"},
      {MakeTensor<float>("w", DType::kFloat32, {3}, {1, 1, 1}), "there are 2 labels"},
      {MakeTensor<uint16_t>("w", DType::kFloat16, {2}, {1, 1}), "store them as"},
  };
  for (const auto& [weights, message] : cases) {
    const absl::Status status = open(weights).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST_F(ListsTest, WeightsOfTokensAreAsManyAsLabels) {
  const Rows weights = {{1, 2, 3}, {4}, {0, 5, 6, 7}, {8, 9}};
  std::set<std::string> digests;
  for (const Kind kind : {Kind::kParquet, Kind::kJsonLines}) {
    DataSetSource source = Write(kind, {.tokens = {{"x", kIds}, {"labels", kIds}, {"w", weights}}});
    source.weight_tensor = "w";
    const auto data_set = Open(source);
    ASSERT_NE(data_set, nullptr);
    EXPECT_EQ(data_set->inputs().size(), 1u);
    EXPECT_THAT(data_set->weights(), ElementsAre(1, 2, 3, 0, 4, 0, 0, 0, 0, 5, 6, 7, 8, 9, 0, 0));
    digests.insert(data_set->digest());
    source.selection.limit = 1;
    EXPECT_THAT(Open(source)->weights(), ElementsAre(1, 2, 3));
  }
  EXPECT_EQ(digests.size(), 1u);
}

TEST_F(ListsTest, WeightsOfTokensThatDoNotCountAreNone) {
  const auto open = [&](const TestTensor& weights) {
    DataSetSource source = WriteTensors(
        folder_.cache_path() + absl::StrCat("-", files_++),
        {MakeTensor<int64_t>("labels", DType::kInt64, {2, 2}, {1, kIgnoredToken, 0, 2}),
         MakeTensor<int64_t>("x", DType::kInt64, {2, 2}, {1, 2, 3, 4}), weights});
    source.weight_tensor = "w";
    return folder_.Open(source);
  };
  const auto given = open(MakeTensor<float>("w", DType::kFloat32, {2, 2}, {0.5f, 9, 0, 2}));
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_THAT((*given)->weights(), ElementsAre(0.5, 0, 0, 2));
  const std::pair<TestTensor, std::string> cases[] = {
      {MakeTensor<float>("w", DType::kFloat32, {2, 2}, {0, 9, 0, 0}), "are all 0"},
      {MakeTensor<float>("w", DType::kFloat32, {2, 2}, {1, 1, -1, 1}), "weight of token 2 is -1"},
      {MakeTensor<float>("w", DType::kFloat32, {2}, {1, 1}), "one number a label"},
      {MakeTensor<float>("w", DType::kFloat32, {2, 3}, {1, 1, 1, 1, 1, 1}), "are 2"},
  };
  for (const auto& [weights, message] : cases) {
    const absl::Status status = open(weights).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
  DataSetSource source = Write(
      Kind::kParquet, {.numbers = {{"label", {1, 0, 2, 1}}}, .tokens = {{"x", kIds}, {"w", kIds}}});
  source.weight_tensor = "w";
  ExpectRefused(source, "the weights 'w' differ in length");
  source = Write(Kind::kParquet,
                 {.tokens = {{"x", kIds}, {"labels", kIds}, {"w", {{1}, {2}, {3}, {4, 5}}}}});
  source.weight_tensor = "w";
  ExpectRefused(source, "'w' has 1 elements");
}

TEST_F(ListsTest, AFolderOfImagesHasNeither) {
  DataSetFolder images;
  images.WriteFixtures({{"cat/1.jpg", "444.jpg"}});
  DataSetSource source = images.Source();
  source.weight_tensor = "w";
  EXPECT_EQ(GetErrorFacts(images.Open(source).status()).reason, "DATA_SET_INVALID");
  source.weight_tensor = "";
  source.pad_values = {{"images", 1}};
  EXPECT_EQ(GetErrorFacts(images.Open(source).status()).reason, "DATA_SET_INVALID");
}

}  // namespace
}  // namespace stockpot
