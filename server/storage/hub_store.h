// Files of the Hugging Face hub, or of a server that speaks as it does: hf:// URIs over its HTTP
// API. Source: https://huggingface.co/docs/hub/api and what huggingface_hub asks of it.
//
//   GET ENDPOINT/[datasets/]OWNER/REPOSITORY/resolve/REVISION/PATH
//       the file, or a redirect to it; X-Repo-Commit is the commit of REVISION, X-Linked-Etag the
//       SHA-256 of a large file
//   GET ENDPOINT/api/{models,datasets}/OWNER/REPOSITORY/revision/REVISION
//       "sha": the commit; asked where X-Repo-Commit is missing, and before a listing
//   GET ENDPOINT/api/{models,datasets}/OWNER/REPOSITORY/tree/COMMIT[/PATH]?recursive=true
//       the files below a folder; Link says where the next page is
//
// Facts::pinned_uri names the commit, so that a branch that moves changes no record. The endpoint
// may redirect to itself and to the hosts that the operator names. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_HUB_STORE_H_
#define STOCKPOT_SERVER_STORAGE_HUB_STORE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/json_reader.h"
#include "server/storage/http_store.h"
#include "server/storage/redirect_policy.h"
#include "server/storage/remote_store.h"

namespace stockpot {

class HubStore final : public RemoteStore {
 public:
  // `endpoint` is https://HOST[:PORT][/PATH]; `redirects` says where else it may send us.
  // `requests` must outlive this and the files that it gives. Errors: INVALID_ARGUMENT.
  static absl::StatusOr<std::unique_ptr<HubStore>> Create(const HttpRequests* requests,
                                                          const std::string& endpoint,
                                                          RedirectPolicy redirects);

  absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri& uri, Purpose purpose,
                                                   const KeepGoing& keep_going) override;
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                               const KeepGoing& keep_going) override;

 private:
  HubStore(const HttpRequests* requests, RemoteUri endpoint, RedirectPolicy redirects)
      : requests_(requests), endpoint_(std::move(endpoint)), redirects_(std::move(redirects)) {}
  RemoteUri AtEndpoint(const std::string& path) const;
  // Of a repository's API; `path` begins with "/".
  RemoteUri AtApi(const RemoteUri& uri, const std::string& path) const;
  // JSON that the API answers with; `next_page` (may be null) gets where the next page is, or an
  // empty scheme.
  absl::StatusOr<Json> AskApi(const RemoteUri& api, Purpose purpose, const KeepGoing& keep_going,
                              RemoteUri* next_page) const;
  HttpRequests::CheckHop HopsFor(Purpose purpose) const;
  absl::StatusOr<std::string> FindCommit(const RemoteUri& uri, Purpose purpose,
                                         const KeepGoing& keep_going) const;

  const HttpRequests* const requests_;
  const RemoteUri endpoint_;
  const RedirectPolicy redirects_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_HUB_STORE_H_
