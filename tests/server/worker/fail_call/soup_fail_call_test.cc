// Every file-system call of writing a soup fails once in turn: it is written right or not at all,
// and the attempt after it writes it right.
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>

#include "server/base/digest.h"
#include "server/worker/session/soup_writer.h"
#include "tests/support/failing_calls/failing_calls.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using worker::v1::SoupFiles;
using worker::v1::WriteSoup;

struct Form {
  const char* name;
  v1::Output::Format format;
  int64_t max_shard_bytes;
};

class SoupFailCall : public testing::TestWithParam<Form> {
 protected:
  void SetUp() override {
    const auto opened =
        OpenCheckpoint("tests/server/worker/checkpoint/data/weights.safetensors", {});
    ASSERT_TRUE(opened.ok()) << opened.status();
    blend_ = {{*opened}, {}, std::nullopt};
    digest_ = SummarizeContent(**opened)->digest;
  }

  absl::StatusOr<SoupFiles> Write(const TemporaryFolder& folder) const {
    WriteSoup task;
    task.set_folder(folder.path());
    task.set_format(GetParam().format);
    task.set_max_shard_bytes(GetParam().max_shard_bytes);
    return WriteSoupFiles(blend_, task, {}, Unwatched, nullptr);
  }

  void ExpectWhole(const TemporaryFolder& folder, const SoupFiles& soup) const {
    EXPECT_EQ(soup.content_digest(), digest_);
    for (const SoupFiles::File& file : soup.files()) {
      std::ifstream stream(folder / file.file(), std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(stream), {}};
      EXPECT_EQ(Sha256Hex(content), file.sha256()) << file.file();
    }
  }

  BlendSource blend_;
  std::string digest_;
};

TEST_P(SoupFailCall, WritesItRightOrNotAtAll) {
  int failures = 0;
  for (int64_t n = 1; !HasFailure(); ++n) {
    const TemporaryFolder folder;
    FailingCalls calls(folder.path(), {.first = n, .error = EIO});
    const absl::StatusOr<SoupFiles> first = Write(folder);
    if (calls.failed().empty()) {
      EXPECT_TRUE(first.ok()) << first.status();
      break;
    }
    SCOPED_TRACE(calls.failed());
    calls.Mend();
    if (first.ok()) {
      ExpectWhole(folder, *first);
    } else {
      ++failures;
      EXPECT_FALSE(first.status().message().empty());
      const absl::StatusOr<SoupFiles> second = Write(folder);
      ASSERT_TRUE(second.ok()) << second.status();
      ExpectWhole(folder, *second);
    }
  }
  EXPECT_GT(failures, 5) << "are the calls interposed?";
  RecordProperty("failures", failures);
}

INSTANTIATE_TEST_SUITE_P(EachForm, SoupFailCall,
                         testing::Values(Form{"OneFile", v1::Output::SAFETENSORS, 1000000},
                                         Form{"Shards", v1::Output::SAFETENSORS, 150},
                                         Form{"TorchSave", v1::Output::TORCH_SAVE, 1000000}),
                         [](const auto& form) { return std::string(form.param.name); });

}  // namespace
}  // namespace stockpot
