// Every file-system call of DownloadArtifact fails once in turn: the client has the right bytes, or
// an error that does not say that they are gone, and then the right bytes.
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "server/base/digest.h"
#include "tests/server/control/rpc/rpc_fixture.h"
#include "tests/support/failing_calls/failing_calls.h"

namespace stockpot {
namespace {

class DownloadFailCall : public RpcTest {
 protected:
  DownloadFailCall() {
    engine_.artifact_root = folder_.path();
    std::filesystem::create_directories(folder_ / "jobs/a");
    std::ofstream(folder_ / "jobs/a/soup.safetensors") << content_;
    JobRecord record = PutJob("jobs/a", JobState::kSucceeded);
    const Json list = {{{"file", "soup.safetensors"},
                        {"size_bytes", content_.size()},
                        {"sha256", Sha256Hex(content_)}}};
    record.artifacts = list.dump();
    engine_.PutJob(record);
  }

  grpc::Status Download(std::string* data) {
    v1::DownloadArtifactRequest request;
    request.set_name("jobs/a");
    request.set_file("soup.safetensors");
    grpc::ClientContext context;
    const auto stream = stub_->DownloadArtifact(&context, request);
    v1::ArtifactChunk chunk;
    for (data->clear(); stream->Read(&chunk);) *data += chunk.data();
    return stream->Finish();
  }

  const std::string content_ = std::string(3'000'000, 'x');
};

TEST_F(DownloadFailCall, GivesTheRightBytesOrAnErrorAndThenTheRightBytes) {
  int failures = 0;
  std::string data;
  for (int64_t n = 1; !HasFailure(); ++n) {
    FailingCalls calls(folder_.path(), {.first = n, .error = EIO});
    const grpc::Status first = Download(&data);
    const std::string failed = calls.failed();
    calls.Mend();
    SCOPED_TRACE(failed);
    if (first.ok()) {
      EXPECT_TRUE(data == content_);
      if (failed.empty()) break;
      continue;
    }
    ++failures;
    EXPECT_NE(first.error_code(), grpc::StatusCode::NOT_FOUND) << first.error_message();
    const grpc::Status second = Download(&data);
    EXPECT_TRUE(second.ok() && data == content_) << second.error_message();
  }
  EXPECT_GT(failures, 1) << "are the calls interposed?";
}

}  // namespace
}  // namespace stockpot
