#include "server/worker/checkpoint/safetensors_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/support/shared_data.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string File(const std::string& header, size_t data_size) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header +
         std::string(data_size, '\0');
}

std::string HeaderError(const std::string& header, size_t data_size, CheckpointLimits limits = {}) {
  return Says(OpenBytes(File(header, data_size), limits).status());
}

// One tensor, then what is given.
std::string Entry(const std::string& name, const std::string& shape, int begin, int end,
                  const std::string& dtype = "F32") {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                      ",\"data_offsets\":[", std::to_string(begin), ",", std::to_string(end), "]}");
}

TEST(SafetensorsReader, ViewsTensorsInPlace) {
  auto opened = OpenBytes(
      File(absl::StrCat("{", Entry("b", "[2]", 4, 12), ",", Entry("a", "[]", 0, 4), "}  "), 12));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const std::vector<TensorInfo> expected = {{"a", DType::kFloat32, {}},
                                            {"b", DType::kFloat32, {2}}};
  EXPECT_EQ((*opened)->tensors(), expected);
  EXPECT_EQ((*opened)->format(), "safetensors");
  std::vector<char> scratch;
  EXPECT_EQ((*opened)->Read(1, &scratch)->data(), (*opened)->Read(0, &scratch)->data() + 4);
  EXPECT_TRUE(scratch.empty());
}

TEST(SafetensorsReader, AcceptsLeadingWhiteSpaceAndEmptyTensors) {
  EXPECT_THAT(HeaderError(absl::StrCat(" \n {", Entry("a", "[1]", 0, 4), "}"), 4),
              StartsWith("OK"));
  EXPECT_THAT(HeaderError(absl::StrCat("{", Entry("a", "[1]", 0, 4), ",", Entry("e", "[0,3]", 0, 0),
                                       ",", Entry("f", "[2,0]", 4, 4), "}"),
                          4),
              StartsWith("OK"));
  EXPECT_THAT(
      HeaderError(absl::StrCat("{\"__metadata__\":{\"k\":\"v\"},", Entry("a", "[1]", 0, 4), "}"),
                  4),
      StartsWith("OK"));
}

// The first byte of a header's size may be that of another format.
TEST(SafetensorsReader, IsNotTakenForAPickle) {
  std::string header = absl::StrCat("{", Entry("a", "[1]", 0, 4), "}");
  header.resize(0x80, ' ');
  EXPECT_THAT(HeaderError(header, 4), StartsWith("OK"));
}

TEST(SafetensorsReader, KnowsEveryDType) {
  for (int i = 0; i <= static_cast<int>(DType::kFloat64); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(*ParseDType(DTypeName(dtype)), dtype);
    const auto size = static_cast<int>(DTypeSize(dtype));
    EXPECT_THAT(
        HeaderError(
            absl::StrCat("{", Entry("a", "[3]", 0, 3 * size, std::string(DTypeName(dtype))), "}"),
            static_cast<size_t>(3 * size)),
        StartsWith("OK"));
  }
}

TEST(SafetensorsReader, RefusesOneCauseAtATimeNamingTheTensor) {
  struct Case {
    const char* what;
    std::string header;
    size_t data_size;
    const char* message;
  };
  const std::string a = Entry("a", "[1]", 0, 4);
  const std::vector<Case> cases = {
      {"unknown dtype", absl::StrCat("{", Entry("a", "[1]", 0, 4, "F31"), "}"), 4,
       "tensor 'a': unknown dtype 'F31'"},
      {"size", absl::StrCat("{", Entry("a", "[2]", 0, 4), "}"), 4,
       "tensor 'a': has 4 bytes, but its shape and dtype need 8"},
      {"overlap", absl::StrCat("{", a, ",", Entry("b", "[1]", 2, 6), "}"), 6,
       "tensor 'b': overlaps"},
      {"same bytes", absl::StrCat("{", a, ",", Entry("b", "[1]", 0, 4), "}"), 4,
       "tensor 'b': overlaps"},
      {"hole", absl::StrCat("{", a, ",", Entry("b", "[1]", 5, 9), "}"), 9,
       "tensor 'b': comes after a hole"},
      {"hole at the front", absl::StrCat("{", Entry("b", "[1]", 1, 5), "}"), 5,
       "tensor 'b': comes after a hole"},
      {"trailing bytes", absl::StrCat("{", a, "}"), 5, "1 bytes follow the last tensor"},
      {"backwards", absl::StrCat("{", Entry("a", "[1]", 4, 0), "}"), 4,
       "tensor 'a': ends before it begins"},
      {"duplicate", absl::StrCat("{", a, ",", Entry("a", "[1]", 4, 8), "}"), 8,
       "tensor 'a': is named twice"},
      {"field twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
       "'dtype' twice"},
      {"unknown field", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4,
       "unknown field 'x'"},
      {"no dtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4,
       "tensor 'a': lacks a complete 'dtype'"},
      {"no shape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "lacks a complete 'shape'"},
      {"no offsets", R"({"a":{"dtype":"F32","shape":[1]}})", 4, "lacks a complete 'data_offsets'"},
      {"one offset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4,
       "lacks a complete 'data_offsets'"},
      {"three offsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4,
       "'data_offsets' holds a number"},
      {"overflow", absl::StrCat("{", Entry("a", "[4294967296,4294967296]", 0, 4), "}"), 4,
       "too large"},
      {"overflow hidden by a zero",
       absl::StrCat("{", Entry("a", "[0,4294967296,4294967296]", 0, 0), ",",
                    Entry("b", "[1]", 0, 4), "}"),
       4, "too large"},
      {"size over 2^63", absl::StrCat("{", Entry("a", "[18446744073709551615]", 0, 4), "}"), 4,
       "too large"},
      {"size over 2^64", absl::StrCat("{", Entry("a", "[18446744073709551616]", 0, 4), "}"), 4,
       "'shape' holds a number"},
      {"negative size", absl::StrCat("{", Entry("a", "[-1]", 0, 4), "}"), 4,
       "'shape' holds a number"},
      {"fraction", absl::StrCat("{", Entry("a", "[1.5]", 0, 4), "}"), 4, "'shape' holds a number"},
      {"text in a shape", R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4,
       "holds a string"},
      {"null", R"({"a":{"dtype":null,"shape":[1],"data_offsets":[0,4]}})", 4, "holds a null"},
      {"dimensions",
       absl::StrCat("{", Entry("a", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", 0, 4), "}"), 4,
       "more than 16 dimensions"},
      {"list for a tensor", R"({"a":[1]})", 0, "holds a list"},
      {"number for a tensor", R"({"a":1})", 0, "holds a number"},
      {"text for a tensor", R"({"a":"F32"})", 0, "holds a string"},
      {"metadata number", R"({"__metadata__":{"k":1}})", 0,
       "'__metadata__' holds something that is no string"},
      {"metadata object", R"({"__metadata__":{"k":{"l":"m"}}})", 0,
       "'__metadata__' holds something that is no string"},
      {"metadata list", R"({"__metadata__":{"k":["m"]}})", 0,
       "'__metadata__' holds something that is no string"},
      {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, "'__metadata__' twice"},
      {"nested",
       absl::StrCat("{\"a\":{\"shape\":", std::string(1000, '['), std::string(1000, ']'), "}}"), 0,
       "holds a list"},
      {"not JSON", "{\"a\":}", 0, "not valid JSON"},
      {"two documents", "{} {}", 0, "not valid JSON"},
      {"not UTF-8", "{\"a\xff\":1}", 0, "not valid JSON"},
      {"no tensors", "{}", 0, "holds no tensors"},
      {"long name", absl::StrCat("{", Entry(std::string(2000, 'n'), "[1]", 0, 4), "}"), 4,
       "longer than 1024"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(HeaderError(c.header, c.data_size),
                AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr(c.message)))
        << c.what;
  }
}

TEST(SafetensorsReader, BoundsTheHeader) {
  CheckpointLimits limits;
  limits.max_header_bytes = 10;
  EXPECT_THAT(HeaderError(absl::StrCat("{", Entry("a", "[1]", 0, 4), "}"), 4, limits),
              HasSubstr("limit of 10"));
  limits = {};
  limits.max_tensors = 1;
  EXPECT_THAT(
      HeaderError(absl::StrCat("{", Entry("a", "[1]", 0, 4), ",", Entry("b", "[1]", 4, 8), "}"), 8,
                  limits),
      HasSubstr("more than 1 tensors"));
}

TEST(SafetensorsReader, SaysWhenTheFileWasCutShortAnywhere) {
  const TemporaryFolder folder;
  const std::string whole = ReadBytes(Fixture("weights.safetensors"));
  ASSERT_GT(whole.size(), 500u);
  WriteBytes(folder / "cut", whole);
  for (size_t size = whole.size(); size-- > 0;) {
    std::filesystem::resize_file(folder / "cut", size);
    ASSERT_THAT(Says(OpenCheckpoint(folder / "cut", {}).status()),
                StartsWith("DATA_LOSS CHECKPOINT_TRUNCATED"))
        << size;
  }
}

TEST(SafetensorsReader, OpensTheSharedSweep) {
  const std::string sweep = SharedData();
  if (sweep.empty()) GTEST_SKIP() << kNoSharedData;
  std::shared_ptr<const StateDict> first;
  int opened_count = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(absl::StrCat(sweep, "/checkpoints"))) {
    auto opened = OpenCheckpoint(file.path().string(), {});
    ASSERT_TRUE(opened.ok()) << opened.status();
    if (first == nullptr) first = *opened;
    EXPECT_TRUE(CheckCompatible(first->tensors(), (*opened)->tensors()).ok());
    auto summary = SummarizeContent(**opened);
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(summary->non_finite_tensor, "");
    ++opened_count;
  }
  EXPECT_EQ(opened_count, 12);
}

}  // namespace
}  // namespace stockpot
