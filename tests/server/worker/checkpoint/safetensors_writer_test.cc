#include "server/worker/checkpoint/safetensors_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/support/file_size_limit.h"

namespace stockpot {
namespace {

using ::testing::HasSubstr;

const std::vector<TensorInfo>& Tensors() {
  static const auto* const tensors =
      new std::vector<TensorInfo>{{"b \"quoted\" é", DType::kFloat16, {1, 3}},
                                  {"a", DType::kInt64, {}},
                                  {"e", DType::kBool, {0}}};
  return *tensors;
}

absl::Status Append(TensorWriter& writer, const std::string& bytes) {
  return writer.Append({bytes.data(), bytes.size()});
}

TEST(SafetensorsWriter, WritesWhatTheFormatSaysAndNothingElse) {
  const TemporaryFolder folder;
  auto writer = SafetensorsWriter::Create(folder / "soup", Tensors(), {{"z", "1"}, {"k", "v"}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(Append(**writer, "123456").ok());
  ASSERT_TRUE(Append(**writer, "abcdefgh").ok());
  ASSERT_TRUE(Append(**writer, "").ok());
  absl::StatusOr<WrittenFile> written = (*writer)->Finish();
  ASSERT_TRUE(written.ok()) << written.status();

  const std::string header =
      R"({"__metadata__":{"k":"v","z":"1"},)"
      R"("b \"quoted\" é":{"dtype":"F16","shape":[1,3],"data_offsets":[0,6]},)"
      R"("a":{"dtype":"I64","shape":[],"data_offsets":[6,14]},)"
      R"("e":{"dtype":"BOOL","shape":[0],"data_offsets":[14,14]}})";
  const std::string bytes = ReadBytes(folder / "soup");
  const size_t padded = (header.size() + 7) / 8 * 8;
  EXPECT_EQ(bytes.substr(8, header.size()), header);
  EXPECT_EQ(bytes.substr(8 + header.size()),
            absl::StrCat(std::string(padded - header.size(), ' '), "123456abcdefgh"));
  EXPECT_EQ(written->byte_count, bytes.size());
  EXPECT_EQ(written->sha256, Sha256Hex(bytes));
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  auto original = OpenCheckpoint(Fixture("dtypes.pt"), {});
  ASSERT_TRUE(original.ok()) << original.status();
  auto writer = SafetensorsWriter::Create(folder / "soup", (*original)->tensors(), {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  std::vector<char> scratch;
  for (size_t i = 0; i < (*original)->tensors().size(); ++i) {
    ASSERT_TRUE((*writer)->Append(*(*original)->Read(i, &scratch)).ok());
  }
  ASSERT_TRUE((*writer)->Finish().ok());
  auto copy = OpenCheckpoint(folder / "soup", {});
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ((*copy)->tensors(), (*original)->tensors());
  EXPECT_EQ(SummarizeContent(**copy)->digest, SummarizeContent(**original)->digest);
}

TEST(SafetensorsWriter, SumsWithoutAFileWhatItWouldWrite) {
  const TemporaryFolder folder;
  std::vector<WrittenFile> written;
  for (const std::string& path : {folder / "soup", std::string()}) {
    auto writer = SafetensorsWriter::Create(path, Tensors(), {{"k", "v"}});
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const char* bytes : {"123456", "abcdefgh", ""}) ASSERT_TRUE(Append(**writer, bytes).ok());
    const auto finished = (*writer)->Finish();
    ASSERT_TRUE(finished.ok()) << finished.status();
    written.push_back(*finished);
    EXPECT_EQ((*writer)->Finish().status().code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(written[1].sha256, written[0].sha256);
  EXPECT_EQ(written[1].byte_count, written[0].byte_count);
}

TEST(SummedFile, AFailedWriteEndsIt) {
  const TemporaryFolder folder;
  auto file = SummedFile::Create(folder / "soup");
  ASSERT_TRUE(file.ok()) << file.status();
  {
    const FileSizeLimit limit(4);
    EXPECT_EQ(file->Write("123456").code(), absl::StatusCode::kInternal);
  }
  EXPECT_EQ(file->Write("7").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(file->Finish().status().code(), absl::StatusCode::kInternal);
}

TEST(SafetensorsWriter, RefusesWhatWouldBreakTheFile) {
  const TemporaryFolder folder;
  auto writer = SafetensorsWriter::Create(folder / "soup", Tensors(), {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_THAT(Append(**writer, "12345").message(), HasSubstr("5 bytes given, it has 6"));
  EXPECT_EQ((*writer)->Finish().status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Append(**writer, "123456").ok());
  ASSERT_TRUE(Append(**writer, "12345678").ok());
  ASSERT_TRUE(Append(**writer, "").ok());
  EXPECT_EQ(Append(**writer, "").code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ((*writer)->Finish().status().code(), absl::StatusCode::kFailedPrecondition);

  EXPECT_EQ(SafetensorsWriter::Create(folder / "soup", Tensors(), {}).status().code(),
            absl::StatusCode::kAlreadyExists);
  const TensorInfo a = {"a", DType::kFloat32, {1}};
  EXPECT_THAT(SafetensorsWriter::Create(folder / "x", {a, a}, {}).status().message(),
              HasSubstr("named twice"));
  EXPECT_FALSE(
      SafetensorsWriter::Create(folder / "x", {{"__metadata__", DType::kBool, {}}}, {}).ok());
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
}

}  // namespace
}  // namespace stockpot
