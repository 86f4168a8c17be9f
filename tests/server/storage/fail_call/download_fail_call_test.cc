// Every file-system call of a download, of a file in parts and of a folder, fails once in turn:
// what is brought is right or there is an error that says why, and the attempt after it brings the
// right content. On a disk that is full or read-only from any write on, the error says so.
#include <cerrno>
#include <filesystem>
#include <map>
#include <string>

#include "tests/server/storage/remote_files_test.h"
#include "tests/support/failing_calls/fail_each_call.h"
#include "tests/support/folder_contents.h"
#include "tests/support/http_server/hub_server.h"

namespace stockpot {
namespace {

using Contents = std::map<std::string, std::string>;

constexpr int64_t kForGood = 1000000;
constexpr const char* kFolder = "hf://datasets/org/set/images";

class DownloadFailCall : public RemoteFilesTest {
 protected:
  DownloadFailCall() {
    options_.download.retry.most_failures = 2;
    options_.folder_connections = 1;  // the order of the calls stays the same
    access_.hf_endpoint = hub_.endpoint();
    server_.Put("/weights", {.content = SomeBytes(3 * kPart + 5)});
    hub_.Commit("datasets/org/set", "main", std::string(40, '1'),
                {{"images/0/a.jpg", SomeBytes(1000)}, {"images/1/b.jpg", SomeBytes(2000)}});
  }

  // By a process that has just started. The path of the file or folder that was brought.
  absl::StatusOr<std::string> FetchFresh(bool folder) {
    ASSIGN_OR_RETURN(const auto files, OpenRemoteFiles(access_, options_, &clock_, nullptr));
    if (folder) {
      ASSIGN_OR_RETURN(const auto copy, files->FetchFolder(kFolder, Unwatched));
      return copy.path;
    }
    ASSIGN_OR_RETURN(const auto copy,
                     files->Fetch(server_.Url("/weights"), Purpose::kData, Unwatched));
    return copy.path;
  }
  static void ExpectRight(const absl::StatusOr<std::string>& path, bool folder) {
    ASSERT_TRUE(path.ok()) << path.status();
    if (folder) {
      EXPECT_TRUE(FolderContents(*path) ==
                  (Contents{{"0/a.jpg", SomeBytes(1000)}, {"1/b.jpg", SomeBytes(2000)}}));
    } else {
      EXPECT_TRUE(*ReadSmallFile(*path, 1 << 30) == SomeBytes(3 * kPart + 5));
    }
  }

  int FailEach(bool folder, FailingCalls::Options failure, const std::string& reason) {
    const EachCall each = {.folder = folder_.path(),
                           .what = folder ? "folder," : "file,",
                           .failure = failure,
                           .reason = reason,
                           .clear = [&] { std::filesystem::remove_all(folder_ / "cache"); }};
    return FailEachCall(
        each, [&] { return FetchFresh(folder); },
        [&](const absl::StatusOr<std::string>& path) { ExpectRight(path, folder); });
  }

  HubServer hub_;
};

TEST_F(DownloadFailCall, EachCallOnceBringsTheRightContentOrAnErrorAndThenTheRightContent) {
  for (const bool folder : {false, true}) {
    EXPECT_GT(FailEach(folder, {.error = EIO}, ""), 0) << "are the calls interposed?";
  }
}

TEST_F(DownloadFailCall, ADiskThatIsFullOrReadOnlyFromAnyWriteOnIsSaidToBe) {
  for (const bool folder : {false, true}) {
    EXPECT_GT(
        FailEach(folder, {.count = kForGood, .error = ENOSPC, .only_writes = true}, "DISK_FULL"),
        1);
    EXPECT_GT(FailEach(folder, {.count = kForGood, .error = EROFS, .only_writes = true},
                       "STORAGE_READ_ONLY"),
              1);
  }
}

}  // namespace
}  // namespace stockpot
