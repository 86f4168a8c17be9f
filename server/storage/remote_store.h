// What a place of files on other machines has to offer, so that downloading, resuming and caching
// (remote_files.h) are written once: HTTP (http_store.h), the Hugging Face hub (hub_store.h), and
// object stores (object_store/).
//
// Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_REMOTE_STORE_H_
#define STOCKPOT_SERVER_STORAGE_REMOTE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/mapped_file.h"
#include "server/base/progress.h"
#include "server/storage/remote_uri.h"

namespace stockpot {

// What a file is for: architectures are programs and have an allow-list of their own.
enum class Purpose { kData, kArchitecture };

// One version of a file: what one look at it found.
class RemoteFile {
 public:
  struct Facts {
    // Changes with the content; "" where the store tells nothing, and then no copy of the file can
    // be known to be still good.
    std::string version;
    std::optional<uint64_t> size;
    // Whether parts can be read, each known to be of this version.
    bool has_ranges = false;
    std::string sha256;  // of the content, hexadecimal; "" where the store does not say
    // Names this very version as well as the store's URIs can.
    std::string pinned_uri;
  };
  using Sink = std::function<absl::Status(absl::string_view)>;

  explicit RemoteFile(Facts facts) : facts_(std::move(facts)) {}
  virtual ~RemoteFile() = default;
  RemoteFile(const RemoteFile&) = delete;
  RemoteFile& operator=(const RemoteFile&) = delete;

  const Facts& facts() const { return facts_; }

  // Gives the bytes from `begin` to before `end` to `sink`, in order; maybe fewer: the rest is
  // asked for again. Only with ranges. One try, no more.
  // Errors: UNAVAILABLE (reason SOURCE_UNAVAILABLE, maybe with retry_after): worth another try;
  // DATA_LOSS (SOURCE_DAMAGED): what this call gave is not to be believed, worth another try;
  // FAILED_PRECONDITION (CHECKPOINT_CHANGED): it is another version now; those of Look; what `sink`
  // and `keep_going` gave.
  virtual absl::Status Read(uint64_t begin, uint64_t end, const Sink& sink,
                            const KeepGoing& keep_going) = 0;
  // All of it in one stream. Errors: as above.
  virtual absl::Status ReadAll(const Sink& sink, const KeepGoing& keep_going) = 0;

 private:
  const Facts facts_;
};

// A file that a listing found.
struct ListedFile {
  RemoteUri uri;     // pinned as far as the store's URIs can
  std::string path;  // below the folder that was listed, decoded: "a/b.jpg"
  uint64_t size = 0;
  // Changes with the content, as far as a listing tells.
  std::string version;
};

// A failure at one of many files: its name in front, and as metadata kFileMetadata.
inline constexpr char kFileMetadata[] = "file";
absl::Status AtFile(const absl::Status& status, const std::string& name);

// What List() gives: in byte order of `path`.
std::vector<ListedFile> SortedByPath(std::vector<ListedFile> files);
// FAILED_PRECONDITION, reason SOURCE_TOO_LARGE.
absl::Status TooManyFiles(size_t most);

class RemoteStore {
 public:
  virtual ~RemoteStore() = default;

  // One try. Errors: NOT_FOUND; PERMISSION_DENIED (reason SOURCE_FORBIDDEN, or where a redirect
  // leads PATH_NOT_ALLOWED, ARCHITECTURE_NOT_ALLOWED, SOURCE_ADDRESS_NOT_ALLOWED); UNAVAILABLE
  // (SOURCE_UNAVAILABLE): worth another try; FAILED_PRECONDITION: SOURCE_UNSUPPORTED, answers that
  // this release makes nothing of, or SOURCE_UNTRUSTED; what `keep_going` gave. No message holds a
  // query string or a credential.
  virtual absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri& uri, Purpose purpose,
                                                           const KeepGoing& keep_going) = 0;

  // Every file below a folder (ParseRemoteFolder), however deep, in byte order of `path`. What no
  // URI can name is left out. One try. Errors: as Look, NOT_FOUND where there is neither a folder
  // nor a file below it; FAILED_PRECONDITION: SOURCE_TOO_LARGE, more than `most` files;
  // SOURCE_UNSUPPORTED, a store without listings.
  virtual absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                                       const KeepGoing& keep_going) = 0;

  // Writing, which stores need not know: without it UNIMPLEMENTED (reason NOT_IMPLEMENTED). One try
  // each. Errors: as Look, where NOT_FOUND means that there is no such bucket.

  // Makes `uri` hold all of `file`, in place of what is there. After an error there is what was,
  // or, where a store knows no better, a part of the file. `progress` counts bytes.
  virtual absl::Status Write(const RemoteUri& uri, const std::shared_ptr<const MappedFile>& file,
                             const Progress& progress);
  virtual absl::Status Remove(const RemoteUri& uri, const KeepGoing& keep_going);
  // Whether something could be written below a folder. Leaves nothing there.
  virtual absl::Status TryWriting(const RemoteUri& folder, const KeepGoing& keep_going);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_REMOTE_STORE_H_
