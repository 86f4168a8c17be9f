// A folder of files that can be made again: who builds one, under what names, and what is thrown
// away. Shared by all processes of a host; a crash at any moment leaves nothing that is believed.
//
//   NAME                 a finished file: complete, synced, renamed into place. Its time of last
//                        modification is the time it was last used.
//   NAME.part-XXXXXX     being built. Removed by the next builder once its own builder is gone.
//   NAME.resume          being downloaded, or left in the middle (resumable_file.h): the next one
//                        goes on with it. Evicted like a finished file, but while somebody has it.
//   NAME.used            empty: its time of last modification is another time when NAME was used.
//   build-H.lock         locked (flock) while a NAME that begins with H is built, so that processes
//                        that want the same file build it once. Empty, never removed, at most 16.
//
// Names are hexadecimal digests plus an extension. Where locks do not work (some network file
// systems), a file may be built twice; the last rename wins and both are right.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_CACHE_FOLDER_H_
#define STOCKPOT_SERVER_STORAGE_CACHE_FOLDER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/fail_point.h"
#include "server/base/status.h"
#include "server/base/work_counters.h"
#include "server/storage/resumable_file.h"

namespace stockpot {

class CacheFolder {
 public:
  // Held while a file is built; released when destroyed, or when the process dies.
  class BuildLock {
   public:
    explicit BuildLock(int fd) : fd_(fd) {}
    ~BuildLock();
    BuildLock(BuildLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    BuildLock& operator=(BuildLock&&) = delete;

   private:
    int fd_;
  };

  // A file being built, removed unless committed.
  class PartialFile {
   public:
    ~PartialFile();
    PartialFile(PartialFile&& other) noexcept;
    PartialFile& operator=(PartialFile&&) = delete;

    const std::string& path() const { return path_; }
    // Writes at `offset`; different threads may write different places.
    absl::Status WriteAt(absl::string_view bytes, uint64_t offset) const;
    // Syncs it and gives it its name. Without `sync` a crash of the machine may leave another
    // content under the name: for files whose own sums are checked.
    absl::Status Commit(bool sync = true);

   private:
    friend class CacheFolder;
    PartialFile(int fd, std::string path, std::string final_path, const FailPoints* fail_points)
        : fd_(fd),
          path_(std::move(path)),
          final_path_(std::move(final_path)),
          fail_points_(fail_points) {}
    int fd_;
    std::string path_, final_path_;
    const FailPoints* fail_points_;
  };

  // Creates the folder when it is missing. `fail_points` may be null, as may `counters`, which
  // hears of OpenOrBuild() as of a cache of decoded data sets.
  static absl::StatusOr<CacheFolder> Create(const std::string& path,
                                            const FailPoints* fail_points = nullptr,
                                            WorkCounters* counters = nullptr);

  std::string PathOf(const std::string& name) const { return path_ + "/" + name; }

  // Waits until nobody else builds `name`.
  absl::StatusOr<BuildLock> LockForBuild(const std::string& name) const;

  // With `byte_count` bytes reserved. RESOURCE_EXHAUSTED (DISK_FULL) when there is no room.
  absl::StatusOr<PartialFile> CreatePartial(const std::string& name, uint64_t byte_count) const;

  // For a file that is made over time: null while another has it. No lock but its own is needed.
  absl::StatusOr<std::unique_ptr<ResumableFile>> TryResume(const std::string& name) const;

  // Notes that `name` is used now. Failing to is no error: the cache may be read-only.
  void Touch(const std::string& name) const;
  // The same without changing NAME's own times, which readers take for a change of its content.
  void TouchBeside(const std::string& name) const;

  // Removes what dead builders left, then the least recently used files other than `keep`, until
  // all are at most `max_bytes` (0: no bound). Those who have a file mapped keep their mapping.
  void Evict(uint64_t max_bytes, const std::string& keep) const;

  void CountLookup(bool hit) const {
    if (counters_ != nullptr) counters_->CountLookup(kDataSetCache, hit);
  }
  void CountBuilding(absl::Duration duration) const {
    if (counters_ != nullptr) counters_->CountDecoding(duration);
  }

 private:
  CacheFolder(std::string path, const FailPoints* fail_points, WorkCounters* counters)
      : path_(std::move(path)), fail_points_(fail_points), counters_(counters) {}
  std::string LockPathOf(const std::string& name) const;
  void RemoveAbandoned(const std::string& partial) const;
  bool RemoveUnlessInUse(const std::string& name) const;

  std::string path_;
  const FailPoints* fail_points_;
  WorkCounters* counters_;
};

// What `open` reads from the file `name`; where that fails, `build` makes the file first, one
// process at a time, and others make room for it (Evict). `open` returns an absl::StatusOr, `build`
// an absl::Status. Errors: those of `build`; those of `open`, annotated "data cache".
template <typename Open, typename Build>
auto OpenOrBuild(const CacheFolder& cache, const std::string& name, uint64_t max_bytes,
                 const Open& open, const Build& build) -> decltype(open()) {
  auto opened = open();
  bool hit = opened.ok();
  if (!opened.ok()) {
    {
      ASSIGN_OR_RETURN(const CacheFolder::BuildLock lock, cache.LockForBuild(name));
      opened = open();  // somebody may have built it while we waited
      hit = opened.ok();
      if (!opened.ok()) {
        const absl::Time begin = absl::Now();
        const absl::Status built = build();
        cache.CountBuilding(absl::Now() - begin);
        RETURN_IF_ERROR(built);
        opened = open();
      }
    }
    cache.Evict(max_bytes, name);
  }
  cache.CountLookup(hit);
  if (!opened.ok()) return Annotate(opened.status(), "data cache");
  cache.Touch(name);
  return opened;
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_CACHE_FOLDER_H_
