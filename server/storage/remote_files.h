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
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/fail_point.h"
#include "server/base/progress.h"
#include "server/base/work_counters.h"
#include "server/storage/cache_folder.h"
#include "server/storage/download.h"
#include "server/storage/folder_cache.h"
#include "server/storage/remote_store.h"

namespace stockpot {

class RemoteFiles {
 public:
  struct LocalCopy {
    std::string path;
    // The URI with what pins its content, such as a commit in place of a branch.
    std::string pinned_uri;
  };
  struct LocalFolder {
    std::string path;
    std::string pinned_uri;  // as above; "" of a list of files
    // The folder stays for as long as this does; without it, it may be evicted.
    std::shared_ptr<const FolderCache::Hold> hold;
  };
  struct Options {
    std::string cache_folder;  // must be makeable
    // Of all files together, and of each; of all folders together, and of each.
    uint64_t max_bytes = 200'000'000'000;
    DownloadOptions download;
    int folder_connections = 16;       // files of a folder at once
    WorkCounters* counters = nullptr;  // of downloads and requests; must outlive this
  };
  // A file that a list names, and where it goes below the folder that all of them become.
  struct NamedFile {
    std::string name;  // IsPathBelow, and no other's
    RemoteUri uri;
  };
  static constexpr size_t kMostFolderFiles = 300'000;  // of a folder, of a list

  using Stores = std::map<std::string, std::unique_ptr<RemoteStore>>;  // by scheme

  // `clock` and `fail_points` (may be null) must outlive this.
  static absl::StatusOr<std::unique_ptr<RemoteFiles>> Create(Options options, Stores stores,
                                                             Clock* clock,
                                                             const FailPoints* fail_points);

  // What the URI names now. Whether it may be read at all is for AllowList to say first.
  // `progress` counts bytes while they are downloaded, and is asked while another process does
  // that. Errors: of ParseRemoteUri, RemoteStore::Look and Download.
  absl::StatusOr<LocalCopy> Fetch(const std::string& uri, Purpose purpose,
                                  const Progress& progress);

  // All files below a folder as it is now, as one unit: the listing is the version, every file is
  // read whole and of one version, and what changed meanwhile is read again. `progress` counts
  // bytes. Errors: of ParseRemoteFolder, List and RemoteFile::Read ("PATH: …"); NOT_FOUND: no file
  // below it; FAILED_PRECONDITION: CHECKPOINT_CHANGED, it changes all the time, SOURCE_TOO_LARGE,
  // more than max_bytes or 300,000 files; of writing.
  absl::StatusOr<LocalFolder> FetchFolder(const std::string& uri, const Progress& progress);

  // The same of files that a list names, of any stores: as they are now, one unit. What versions
  // they are is asked of listings where stores have them and they are short enough, else of each
  // file. Errors: as above, those of one file with its name and as metadata "file"; NOT_FOUND: it
  // is not there; FAILED_PRECONDITION: SOURCE_UNSUPPORTED, nothing tells its versions apart.
  absl::StatusOr<LocalFolder> FetchFiles(std::vector<NamedFile> files, const Progress& progress);

  // The hold on a folder that FetchFolder or FetchFiles gave and that was let go since. Null: it
  // left the cache.
  std::shared_ptr<const FolderCache::Hold> HoldAgain(const std::string& path) const;

  // RemoteStore::List, tried again where that helps. Errors: as there, and UNIMPLEMENTED (reason
  // NOT_IMPLEMENTED) a scheme without a store.
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                               const KeepGoing& keep_going);

  // The store itself, for what is not read by the cache (remote_output.h). Errors: UNIMPLEMENTED
  // (reason NOT_IMPLEMENTED) a scheme without a store.
  absl::StatusOr<RemoteStore*> StoreOf(const RemoteUri& uri) const;
  // How often and how soon something is tried again.
  const DownloadOptions& download_options() const { return options_.download; }

 private:
  RemoteFiles(Options options, Stores stores, Clock* clock, CacheFolder cache, FolderCache folders)
      : options_(std::move(options)),
        stores_(std::move(stores)),
        clock_(clock),
        cache_(std::move(cache)),
        folders_(std::move(folders)) {}
  absl::StatusOr<LocalCopy> FetchOnce(RemoteStore* store, const RemoteUri& uri, Purpose purpose,
                                      const Progress& progress);
  absl::Status Bring(RemoteFile* file, const std::string& name, const Progress& progress);
  using ListAgain = std::function<absl::StatusOr<std::vector<ListedFile>>()>;
  // Brings `files`; `what` tells lists of the same files apart. False: it changed meanwhile.
  absl::StatusOr<bool> FetchListed(const std::string& what, const std::vector<ListedFile>& files,
                                   const ListAgain& list_again, const Progress& progress,
                                   LocalFolder* into);
  absl::Status BringFolder(const std::vector<ListedFile>& files, uint64_t bytes,
                           FolderCache::Partial* into, const Progress& progress);
  // What the files are now, under their names.
  absl::StatusOr<std::vector<ListedFile>> FindVersions(const std::vector<NamedFile>& files,
                                                       const Progress& progress);
  bool IsHere(const std::string& name, const RemoteFile::Facts& facts) const;
  void CountLookup(bool hit) const;

  const Options options_;
  const Stores stores_;
  Clock* const clock_;
  const CacheFolder cache_;
  const FolderCache folders_;  // beside the files, in cache_folder/folders
};

// What an operator says about remote files; main/remote_flags.h has the flags of the same names.
struct RemoteAccess {
  std::vector<std::string> allowed_uri_prefixes;           // of data
  std::vector<std::string> allowed_architecture_prefixes;  // local paths among them are ignored
  std::vector<std::string> allowed_output_uri_prefixes;    // of artifacts, in object stores
  std::vector<std::string> allowed_redirect_hosts;
  std::vector<std::string> allowed_private_hosts;
  std::string ca_file, proxy;              // as HttpClient::Options
  std::string tokens_file, hf_token_file;  // "": none
  std::string hf_token;                    // used where there is no hf_token_file
  std::string hf_endpoint = "https://huggingface.co";

  // Of s3:// URIs (object_store_access.h).
  std::string s3_endpoint;    // "https://minio.example.com:9000"; "": Amazon's, of the region
  std::string s3_region;      // "": the environment's, else us-east-1
  std::string s3_addressing;  // "path" or "virtual"; "": virtual without an endpoint, else path
  bool s3_anonymous = false;  // no credentials at all
  // In the format of ~/.aws/credentials; "": the environment, profile, web identity, instance.
  std::string s3_credentials_file;
  std::string s3_profile = "default";  // of s3_credentials_file

  // Of gs:// URIs.
  std::string gcs_endpoint;    // of an emulator; "": Google's
  bool gcs_anonymous = false;  // no credentials at all
  // As Google's tools write it: a service account's key, workload identity federation, …; "": the
  // application default credentials (environment, gcloud's, the machine's or pod's own).
  std::string gcs_credentials_file;

  // Of abfs:// URIs.
  std::string azure_account;     // the storage account: there is one
  std::string azure_endpoint;    // of an emulator, the account in the path; "": Azure's
  bool azure_anonymous = false;  // no credentials at all
  // Files that hold nothing but the secret; "": Azure's default chain (environment, workload
  // identity, managed identity, its command line's).
  std::string azure_account_key_file, azure_sas_token_file;
};

// Whether it can be used, as far as that shows without connecting to anybody.
// Errors: as OpenRemoteFiles.
absl::Status CheckRemoteAccess(const RemoteAccess& access);

// Everything put together: http, https and hf, and `more_stores` (object_store/ has some). `clock`
// and `fail_points` (may be null) must outlive the result. Errors: INVALID_ARGUMENT and those of
// reading files, naming the flag.
absl::StatusOr<std::unique_ptr<RemoteFiles>> OpenRemoteFiles(const RemoteAccess& access,
                                                             RemoteFiles::Options options,
                                                             Clock* clock,
                                                             const FailPoints* fail_points,
                                                             RemoteFiles::Stores more_stores = {});

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_REMOTE_FILES_H_
