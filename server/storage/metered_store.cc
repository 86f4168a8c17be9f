#include "server/storage/metered_store.h"

#include <atomic>
#include <utility>

#include "server/base/mapped_file.h"

namespace stockpot {
namespace {

// One request, counted when it is over.
class Request {
 public:
  Request(const std::string& scheme, WorkCounters* counters)
      : scheme_(scheme), counters_(counters) {}

  // What the caller says to this request, noted.
  KeepGoing Asking(const KeepGoing& keep_going) {
    return [this, &keep_going] { return Noted(keep_going()); };
  }
  RemoteFile::Sink Giving(const RemoteFile::Sink& sink) {
    return [this, &sink](absl::string_view bytes) {
      counts_.bytes_read += static_cast<int64_t>(bytes.size());
      return Noted(sink(bytes));
    };
  }
  Progress Telling(const Progress& progress) {
    return [this, &progress](int64_t done, int64_t total) { return Noted(progress(done, total)); };
  }

  absl::Status End(const absl::Status& status, int64_t bytes_written = 0) {
    counts_.requests = 1;
    counts_.errors = status.ok() || absl::IsNotFound(status) || ended_by_caller_ ? 0 : 1;
    if (status.ok()) counts_.bytes_written = bytes_written;
    counters_->CountStorage(scheme_, counts_);
    return status;
  }

 private:
  absl::Status Noted(const absl::Status& status) {
    if (!status.ok()) ended_by_caller_ = true;
    return status;
  }

  const std::string& scheme_;
  WorkCounters* const counters_;
  StorageCounts counts_;
  std::atomic<bool> ended_by_caller_ = false;  // asked from any thread
};

class MeteredFile final : public RemoteFile {
 public:
  MeteredFile(std::string scheme, std::unique_ptr<RemoteFile> file, WorkCounters* counters)
      : RemoteFile(file->facts()),
        scheme_(std::move(scheme)),
        file_(std::move(file)),
        counters_(counters) {}

  absl::Status Read(uint64_t begin, uint64_t end, const Sink& sink,
                    const KeepGoing& keep_going) override {
    Request request(scheme_, counters_);
    return request.End(file_->Read(begin, end, request.Giving(sink), request.Asking(keep_going)));
  }
  absl::Status ReadAll(const Sink& sink, const KeepGoing& keep_going) override {
    Request request(scheme_, counters_);
    return request.End(file_->ReadAll(request.Giving(sink), request.Asking(keep_going)));
  }

 private:
  const std::string scheme_;
  const std::unique_ptr<RemoteFile> file_;
  WorkCounters* const counters_;
};

}  // namespace

MeteredStore::MeteredStore(std::string scheme, std::unique_ptr<RemoteStore> store,
                           WorkCounters* counters)
    : scheme_(std::move(scheme)), store_(std::move(store)), counters_(counters) {}

absl::StatusOr<std::unique_ptr<RemoteFile>> MeteredStore::Look(const RemoteUri& uri,
                                                               Purpose purpose,
                                                               const KeepGoing& keep_going) {
  Request request(scheme_, counters_);
  auto file = store_->Look(uri, purpose, request.Asking(keep_going));
  request.End(file.status()).IgnoreError();
  if (!file.ok()) return file;
  return std::make_unique<MeteredFile>(scheme_, *std::move(file), counters_);
}

absl::StatusOr<std::vector<ListedFile>> MeteredStore::List(const RemoteUri& folder, size_t most,
                                                           const KeepGoing& keep_going) {
  Request request(scheme_, counters_);
  auto files = store_->List(folder, most, request.Asking(keep_going));
  request.End(files.status()).IgnoreError();
  return files;
}

absl::Status MeteredStore::Write(const RemoteUri& uri,
                                 const std::shared_ptr<const MappedFile>& file,
                                 const Progress& progress) {
  Request request(scheme_, counters_);
  return request.End(store_->Write(uri, file, request.Telling(progress)),
                     static_cast<int64_t>(file->bytes().size()));
}

absl::Status MeteredStore::Remove(const RemoteUri& uri, const KeepGoing& keep_going) {
  Request request(scheme_, counters_);
  return request.End(store_->Remove(uri, request.Asking(keep_going)));
}

absl::Status MeteredStore::TryWriting(const RemoteUri& folder, const KeepGoing& keep_going) {
  Request request(scheme_, counters_);
  return request.End(store_->TryWriting(folder, request.Asking(keep_going)));
}

RemoteFiles::Stores Metered(RemoteFiles::Stores stores, WorkCounters* counters) {
  for (auto& [scheme, store] : stores) {
    store = std::make_unique<MeteredStore>(scheme, std::move(store), counters);
  }
  return stores;
}

}  // namespace stockpot
