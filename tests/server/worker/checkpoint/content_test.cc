// What is told of contents: digest, numbers that are not finite, whether two can be averaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/content_summary.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A safetensors file of one tensor "w" with these bytes.
std::shared_ptr<const StateDict> One(const std::string& dtype, const std::string& shape,
                                     const std::string& bytes, const std::string& name = "w") {
  std::string header = absl::StrCat("{\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                                    ",\"data_offsets\":[0,", std::to_string(bytes.size()), "]}}");
  const uint64_t size = header.size();
  auto opened = OpenBytes(std::string(reinterpret_cast<const char*>(&size), 8) + header + bytes);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return *opened;
}

std::string Digest(const std::shared_ptr<const StateDict>& state_dict) {
  return SummarizeContent(*state_dict)->digest;
}

TEST(SummarizeContent, DigestTellsNameDTypeShapeAndBytesApart) {
  const std::string bytes(8, '\1');
  const std::vector<std::string> digests = {
      Digest(One("I32", "[2]", bytes)),
      Digest(One("I32", "[2,1]", bytes)),
      Digest(One("U32", "[2]", bytes)),
      Digest(One("I32", "[2]", bytes, "v")),
      Digest(One("I32", "[2]", absl::StrCat("\2", bytes.substr(1)))),
      Digest(One("I64", "[]", bytes))};
  for (size_t i = 0; i < digests.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(digests[i], digests[j]) << i << " " << j;
  }
  EXPECT_EQ(digests[0], Digest(One("I32", "[2]", bytes)));
  EXPECT_EQ(SummarizeContent(*One("I32", "[2]", bytes))->byte_count, 8u);
}

TEST(SummarizeContent, LargeTensorsHaveOneDigestWholeAndInParts) {
  std::string bytes((5 << 20) + 8, '\1');
  const auto made = [&] { return One("F32", absl::StrCat("[", bytes.size() / 4, "]"), bytes); };
  const auto in_parts = [](const StateDict& tensors) {
    std::vector<char> scratch;
    const absl::Span<const char> elements = *tensors.Read(0, &scratch);
    ContentSummarizer content;
    for (size_t at = 0; at < elements.size(); at += 999'996) {
      content.AddPart(tensors.tensors()[0], at, elements.subspan(at, 999'996));
    }
    return content.Finish();
  };
  const auto model = made();
  EXPECT_EQ(in_parts(*model).digest, Digest(model));
  EXPECT_EQ(SummarizeContent(*model)->non_finite_tensor, "");
  const size_t late = 3 << 20;
  bytes.replace(late, 4, std::string("\0\0\x80\x7f", 4));
  EXPECT_NE(Digest(made()), Digest(model));
  EXPECT_EQ(SummarizeContent(*made())->non_finite_tensor, "w");
  EXPECT_EQ(in_parts(*made()).non_finite_tensor, "w");
}

TEST(SummarizeContent, FindsTheTensorThatIsNotFinite) {
  const auto found = [](const std::string& dtype, const std::string& element) {
    // Deep in a tensor of several blocks.
    std::string bytes(10000 * element.size(), '\0');
    bytes.replace(9999 * element.size(), element.size(), element);
    return SummarizeContent(*One(dtype, "[10000]", bytes))->non_finite_tensor;
  };
  const std::string zero(1, '\0');
  EXPECT_EQ(found("F32", absl::StrCat(zero, zero, "\x80\x7f")), "w");  // infinity
  EXPECT_EQ(found("F32", absl::StrCat(zero, zero, "\xc0\xff")), "w");  // NaN
  EXPECT_EQ(found("F32", "\xff\xff\x7f\x7f"), "");                     // the largest number
  EXPECT_EQ(found("F64", absl::StrCat(std::string(6, '\0'), "\xf0\x7f")), "w");
  EXPECT_EQ(found("F64", absl::StrCat(std::string(6, '\xff'), "\xef\x7f")), "");
  EXPECT_EQ(found("F16", absl::StrCat(zero, "\x7c")), "w");
  EXPECT_EQ(found("F16", "\xff\x7b"), "");
  EXPECT_EQ(found("BF16", "\x80\xff"), "w");
  EXPECT_EQ(found("BF16", "\x7f\x7f"), "");
  EXPECT_EQ(found("F8_E5M2", "\x7c"), "w");
  EXPECT_EQ(found("F8_E5M2", "\x7b"), "");
  EXPECT_EQ(found("F8_E4M3", "\xff"), "w");
  EXPECT_EQ(found("F8_E4M3", "\x7e"), "");
  EXPECT_EQ(found("I32", "\xff\xff\xff\xff"), "");
}

TEST(SummarizeContent, TellsOfEveryTensorAndStopsWhenToldTo) {
  const auto weights = OpenCheckpoint(Fixture("weights.safetensors"), {});
  ASSERT_TRUE(weights.ok()) << weights.status();
  const auto total = static_cast<int64_t>((*weights)->tensors().size());
  std::vector<int64_t> told;
  const auto watch = [&](int64_t done, int64_t of) {
    EXPECT_EQ(of, total);
    told.push_back(done);
    return done == 2 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  EXPECT_EQ(Says(SummarizeContent(**weights, watch).status()), "CANCELLED  enough");
  EXPECT_THAT(told, testing::ElementsAre(0, 1, 2));
}

TEST(CheckCompatible, NamesTensorAndBothShapes) {
  const std::vector<TensorInfo> expected = {
      {"a", DType::kFloat32, {2}}, {"b", DType::kFloat32, {2, 3}}, {"c", DType::kFloat32, {}}};
  EXPECT_TRUE(CheckCompatible(expected, expected).ok());
  std::vector<TensorInfo> other = expected;
  other[1].shape = {2, 4};
  const absl::Status status = CheckCompatible(expected, other);
  EXPECT_EQ(Says(status),
            "INVALID_ARGUMENT CHECKPOINT_MISMATCH tensor 'b': shape [2, 4], expected [2, 3]");
  EXPECT_EQ(GetErrorFacts(status).metadata.at("tensor"), "b");
  other[1] = expected[1];
  other[2].dtype = DType::kBFloat16;
  EXPECT_THAT(Says(CheckCompatible(expected, other)),
              HasSubstr("tensor 'c': dtype BF16, expected F32"));
  other = {expected[0], {"bb", DType::kFloat32, {}}, expected[2]};
  EXPECT_THAT(Says(CheckCompatible(expected, other)),
              HasSubstr("tensor 'b': is missing; tensor 'bb': is not expected"));
  EXPECT_THAT(Says(CheckCompatible(expected, {})), HasSubstr("tensor 'c': is missing"));
}

TEST(CheckCompatible, SaysTwentyDifferencesAndCountsTheRest) {
  std::vector<TensorInfo> expected;
  for (int i = 100; i < 125; ++i)
    expected.push_back({absl::StrCat("t", std::to_string(i)), DType::kFloat32, {}});
  EXPECT_THAT(Says(CheckCompatible(expected, {})),
              AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_MISMATCH tensor 't100'"),
                    HasSubstr("'t119'"), Not(HasSubstr("'t120'")), HasSubstr("; and 5 more")));
}

}  // namespace
}  // namespace stockpot
