// Files on other machines, as files of this one: looked at anew each time, downloaded when this
// version of them is not in the cache yet, and then read like any local file.
//
// The cache is a CacheFolder that all workers of a host share. A file's name in it is the digest of
// its SHA-256 where the store gives one (so that the same file in two places is kept once), else
// of its URI, size and version text; what changes under its name has another name here. Two
// processes that want the same file download it once; what a killed one left is gone on with. The
// least recently used go first once all are larger than the bound; who has one mapped keeps it.
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_REMOTE_FILES_H_
#define STOCKPOT_SERVER_STORAGE_REMOTE_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/storage/cache_folder.h"
#include "server/storage/download.h"
#include "server/storage/remote_store.h"

namespace stockpot {

class RemoteFiles {
 public:
  struct LocalCopy {
    std::string path;
    // The URI with what pins its content, such as a commit in place of a branch.
    std::string pinned_uri;
  };
  struct Options {
    std::string cache_folder;  // must be makeable
    // Of all files together, and of each.
    uint64_t max_bytes = 200'000'000'000;
    DownloadOptions download;
  };

  // `stores` by scheme. `clock` and `fail_points` (may be null) must outlive this.
  static absl::StatusOr<std::unique_ptr<RemoteFiles>> Create(
      Options options, std::map<std::string, std::unique_ptr<RemoteStore>> stores, Clock* clock,
      const FailPoints* fail_points);

  // What the URI names now. Whether it may be read at all is for AllowList to say first.
  // `progress` counts bytes while they are downloaded, and is asked while another process does
  // that. Errors: of ParseRemoteUri, RemoteStore::Look and Download.
  absl::StatusOr<LocalCopy> Fetch(const std::string& uri, Purpose purpose,
                                  const Progress& progress);

 private:
  RemoteFiles(Options options, std::map<std::string, std::unique_ptr<RemoteStore>> stores,
              Clock* clock, CacheFolder cache)
      : options_(std::move(options)),
        stores_(std::move(stores)),
        clock_(clock),
        cache_(std::move(cache)) {}
  absl::StatusOr<LocalCopy> FetchOnce(RemoteStore* store, const RemoteUri& uri, Purpose purpose,
                                      const Progress& progress);
  absl::Status Bring(RemoteFile* file, const std::string& name, const Progress& progress);
  bool IsHere(const std::string& name, const RemoteFile::Facts& facts) const;

  const Options options_;
  const std::map<std::string, std::unique_ptr<RemoteStore>> stores_;
  Clock* const clock_;
  const CacheFolder cache_;
};

// What an operator says about remote files; main/remote_flags.h has the flags of the same names.
struct RemoteAccess {
  std::vector<std::string> allowed_uri_prefixes;           // of data
  std::vector<std::string> allowed_architecture_prefixes;  // local paths among them are ignored
  std::vector<std::string> allowed_redirect_hosts;
  std::vector<std::string> allowed_private_hosts;
  std::string ca_file, proxy;              // as HttpClient::Options
  std::string tokens_file, hf_token_file;  // "": none
  std::string hf_token;                    // used where there is no hf_token_file
  std::string hf_endpoint = "https://huggingface.co";
};

// Whether it can be used, as far as that shows without connecting to anybody.
// Errors: as OpenRemoteFiles.
absl::Status CheckRemoteAccess(const RemoteAccess& access);

// Everything put together: http, https and hf. `clock` and `fail_points` (may be null) must outlive
// the result. Errors: INVALID_ARGUMENT and those of reading files, naming the flag.
absl::StatusOr<std::unique_ptr<RemoteFiles>> OpenRemoteFiles(const RemoteAccess& access,
                                                             RemoteFiles::Options options,
                                                             Clock* clock,
                                                             const FailPoints* fail_points);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_REMOTE_FILES_H_
