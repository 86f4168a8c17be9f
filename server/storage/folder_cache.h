// Folders of many files that came from other machines, each a unit that is there whole or not at
// all. Shared by all processes of a host; a crash at any moment leaves nothing that is believed.
//
//   DIGEST.folder/    complete, synced, renamed into place
//   DIGEST.part/      being filled by whoever has the lock, or left in the middle. Files in it are
//                     whole: they are written in DIGEST.arriving/ and renamed. They count only for
//                     as long as the machine runs that they were written on (DIGEST.boot), since
//                     nothing is synced until the end.
//   DIGEST.lock       locked exclusively while the folder is filled or removed, shared while it is
//                     used
//   DIGEST.used       holds the bytes of the folder; its time of change is its last use
//
// The least recently used go first once all are larger than the bound; one in use stays.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_FOLDER_CACHE_H_
#define STOCKPOT_SERVER_STORAGE_FOLDER_CACHE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

class FolderCache {
 public:
  // A lock, given back when destroyed or when the process dies.
  class Hold {
   public:
    explicit Hold(int fd) : fd_(fd) {}
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    const int fd_;
  };
  struct Use {
    std::string path;                  // of the complete folder
    std::shared_ptr<const Hold> hold;  // it stays for as long as this does
  };

  // Creates the folder when it is missing. Errors: as MakeFolders.
  static absl::StatusOr<FolderCache> Create(const std::string& path);

  // The folder of this digest (64 hexadecimal digits); an empty path: it is not there.
  absl::StatusOr<Use> TryUse(const std::string& digest) const;

  // One that is being filled, by nobody else.
  class Partial {
   public:
    // A file that came whole before; else it has to be written.
    bool Has(const std::string& file, uint64_t size) const;
    // `write` is given where to write a file; what it wrote gets its name, and the folders above
    // it, when it succeeds. Different threads may write different files. Errors: of `write`; as
    // ErrnoStatus.
    absl::Status Write(const std::string& file,
                       const std::function<absl::Status(const std::string& path)>& write) const;
    // Syncs all of it and makes it complete.
    absl::Status Commit(uint64_t bytes);

   private:
    friend class FolderCache;
    Partial(std::string base, std::shared_ptr<const Hold> hold)
        : base_(std::move(base)), hold_(std::move(hold)) {}
    const std::string base_;  // path without ".part"
    const std::shared_ptr<const Hold> hold_;
  };
  // Null: another process fills it, or uses it. Makes room for `bytes` first, of `max_bytes` in
  // all.
  absl::StatusOr<std::unique_ptr<Partial>> TryFill(const std::string& digest, uint64_t bytes,
                                                   uint64_t max_bytes) const;

 private:
  explicit FolderCache(std::string path) : path_(std::move(path)) {}
  void Evict(uint64_t max_bytes, const std::string& keep) const;

  std::string path_;
};

// A path below a folder that names a file there and nothing else, whoever made it up: no empty
// parts,
// ".", "..", NUL, nor names of more than 255 bytes.
bool IsPathBelow(absl::string_view path);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_FOLDER_CACHE_H_
