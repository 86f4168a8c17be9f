#include "server/worker/dataset/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "server/base/digest.h"
#include "server/base/status.h"
#include "tests/server/worker/dataset/fixtures.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <typename Value>
TestTensor LabelTensor(DType dtype, std::vector<int64_t> shape, const std::vector<Value>& values) {
  return MakeTensor("labels", dtype, std::move(shape), values);
}

absl::StatusOr<Labels> Read(const TestTensor& tensor) {
  return ReadLabels({tensor.name, tensor.dtype, tensor.shape}, tensor.bytes);
}

std::shared_ptr<const DataSet> Open(const TestTensor& labels) {
  TemporaryFolder folder;
  const DataSetSource source =
      WriteTensors(folder / "d", {labels, MakeTensor<uint8_t>("x", DType::kUint8, {2, 1}, {5, 6})});
  auto opened = OpenDataSet(source, folder / "cache", {});
  EXPECT_TRUE(opened.ok()) << opened.status();
  return *opened;
}

// As content_digest.h writes it down.
std::string DigestOf(const std::string& kind, const std::vector<std::string>& label_fields) {
  const int64_t shape = 1;
  Sha256 digest;
  digest.UpdateField(kind);
  for (const std::string& field : label_fields) digest.UpdateField(field);
  return digest.UpdateField("x")
      .UpdateField("U8")
      .UpdateField({reinterpret_cast<const char*>(&shape), sizeof(shape)})
      .UpdateField("\5\6")
      .Finish();
}

template <typename Value>
std::string Bytes(const std::vector<Value>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)};
}

TEST(LabelsTest, IntegersAreClasses) {
  const auto data_set = Open(LabelTensor<int64_t>(DType::kInt64, {2}, {4, 0}));
  EXPECT_EQ(data_set->label_kind(), LabelKind::kClasses);
  EXPECT_THAT(data_set->labels(), ElementsAre(4, 0));
  EXPECT_TRUE(data_set->targets().empty());
  EXPECT_EQ(data_set->class_count(), 5);
  EXPECT_EQ(data_set->digest(), DigestOf("stockpot data set 1", {Bytes<int64_t>({4, 0})}))
      << "the digest of a data set that was known before must not change";
}

TEST(LabelsTest, FloatsAreNumbersOfEitherWidth) {
  for (const TestTensor& tensor : {LabelTensor<float>(DType::kFloat32, {2}, {-1.5f, 3}),
                                   LabelTensor<double>(DType::kFloat64, {2}, {-1.5, 3})}) {
    const auto data_set = Open(tensor);
    EXPECT_EQ(data_set->label_kind(), LabelKind::kNumbers);
    EXPECT_EQ(data_set->size(), 2);
    EXPECT_TRUE(data_set->labels().empty());
    EXPECT_THAT(data_set->targets(), ElementsAre(-1.5, 3.0));
    EXPECT_EQ(data_set->class_count(), 0);
    EXPECT_EQ(data_set->digest(),
              DigestOf("stockpot data set 1, numbers", {Bytes<double>({-1.5, 3})}));
  }
}

TEST(LabelsTest, IntegersOfTwoDimensionsAreTokens) {
  const auto data_set =
      Open(LabelTensor<int32_t>(DType::kInt32, {2, 3}, {7, -100, 0, -100, -100, 2}));
  EXPECT_EQ(data_set->label_kind(), LabelKind::kTokens);
  EXPECT_EQ(data_set->size(), 2);
  EXPECT_THAT(data_set->labels(), ElementsAre(7, -100, 0, -100, -100, 2));
  EXPECT_EQ(data_set->class_count(), 8);
  EXPECT_EQ(data_set->digest(),
            DigestOf("stockpot data set 1, tokens",
                     {Bytes<int64_t>({3}), Bytes<int64_t>({7, -100, 0, -100, -100, 2})}));
}

TEST(LabelsTest, WhatIsNoLabelIsRefused) {
  const float infinity = std::numeric_limits<float>::infinity();
  const struct {
    TestTensor tensor;
    std::string reason, says;
  } cases[] = {
      {LabelTensor<uint8_t>(DType::kBool, {2}, {0, 1}), "DATA_SET_INVALID", "labels are BOOL"},
      {LabelTensor<uint16_t>(DType::kFloat16, {2}, {0, 1}), "DATA_SET_INVALID", "labels are F16"},
      {LabelTensor<int64_t>(DType::kInt64, {}, {0}), "DATA_SET_INVALID", "of shape []"},
      {LabelTensor<int64_t>(DType::kInt64, {1, 2, 1}, {0, 1}), "DATA_SET_INVALID",
       "'labels' of shape [1, 2, 1]"},
      {LabelTensor<float>(DType::kFloat32, {2, 1}, {0, 1}), "DATA_SET_INVALID",
       "'labels' of shape [2, 1]"},
      {LabelTensor<float>(DType::kFloat32, {2}, {0, infinity}), "DATA_SET_INVALID",
       "label of example 1 is not finite"},
      {LabelTensor<float>(DType::kFloat32, {2}, {std::nanf(""), 0}), "DATA_SET_INVALID",
       "label of example 0 is not finite"},
      {LabelTensor<int64_t>(DType::kInt64, {2}, {0, -100}), "LABEL_OUT_OF_RANGE",
       "label of example 1 is -100"},
      {LabelTensor<int64_t>(DType::kInt64, {2, 2}, {0, 1, 2, -1}), "LABEL_OUT_OF_RANGE",
       "label of example 1 at position 1 is -1"},
      {LabelTensor<int64_t>(DType::kInt64, {1, 2}, {-100, -100}), "DATA_SET_INVALID",
       "every label is -100"},
      {LabelTensor<int64_t>(DType::kInt64, {2, 0}, {}), "DATA_SET_EMPTY", ""},
      {LabelTensor<float>(DType::kFloat32, {0}, {}), "DATA_SET_EMPTY", ""},
  };
  for (const auto& test : cases) {
    const absl::Status status = Read(test.tensor).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.says << status;
    EXPECT_EQ(GetErrorFacts(status).reason, test.reason) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.says));
  }
}

}  // namespace
}  // namespace stockpot
