// Files over HTTP and HTTPS. Looking at a file is a GET of its first byte, which works where HEAD
// is forbidden and says whether the server knows ranges; reading parts carries If-Range and checks
// of every answer that it is of the version that was looked at, so that parts of two versions are
// never mixed. Redirects are followed here, at most five, each hop checked.
//
// A strong entity tag tells versions apart; without one, a weak one and Last-Modified together do.
// Where X-Linked-Etag is a SHA-256 (the Hugging Face hub), that does. Content-MD5 is checked where
// it is given. Source: RFC 9110, sections 8.8, 13.1.5, 14, 15.4; RFC 1864 (Content-MD5).
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_HTTP_STORE_H_
#define STOCKPOT_SERVER_STORAGE_HTTP_STORE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/storage/credentials.h"
#include "server/storage/http_client.h"
#include "server/storage/redirect_policy.h"
#include "server/storage/remote_store.h"

namespace stockpot {

// One request and the redirects it leads through.
class HttpRequests {
 public:
  // OK: `to` may be asked.
  using CheckHop = std::function<absl::Status(const RemoteUri& from, const RemoteUri& to)>;

  // What a request came to.
  struct Answer {
    HttpClient::Head head;
    RemoteUri place;     // who gave it
    HttpFields on_path;  // fields named "x-…" of the redirects and the answer; the first counts
  };

  // Both must outlive this.
  HttpRequests(HttpClient* client, Clock* clock, Credentials credentials);

  // `on_head` is not called for redirects. Gives an answer of any status below 400; `range` and
  // `if_range` as HttpClient::Request. Errors: as RemoteStore::Look, NOT_FOUND and the like for
  // statuses from 400 on, but 416 (Range Not Satisfiable) and 412, which are answers.
  absl::StatusOr<Answer> Get(const RemoteUri& uri, const std::string& range,
                             const std::string& if_range, const CheckHop& check_hop,
                             const HttpClient::OnHead& on_head, const HttpClient::OnBody& on_body,
                             const KeepGoing& keep_going) const;

 private:
  HttpClient* const client_;
  Clock* const clock_;
  const Credentials credentials_;
};

// Looks at a file: the first half of every store that speaks HTTP. `requests` must outlive what
// this gives. `on_path` (may be null) gets Answer::on_path. Errors: as RemoteStore::Look.
absl::StatusOr<std::unique_ptr<RemoteFile>> LookOverHttp(const HttpRequests* requests,
                                                         const RemoteUri& uri,
                                                         const HttpRequests::CheckHop& check_hop,
                                                         const KeepGoing& keep_going,
                                                         HttpFields* on_path);

class HttpStore final : public RemoteStore {
 public:
  // `requests` must outlive this and the files that it gives.
  HttpStore(const HttpRequests* requests, RedirectPolicy redirects);

  absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri& uri, Purpose purpose,
                                                   const KeepGoing& keep_going) override;
  // HTTP has no listings: FAILED_PRECONDITION (reason SOURCE_UNSUPPORTED).
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                               const KeepGoing& keep_going) override;

 private:
  const HttpRequests* const requests_;
  const RedirectPolicy redirects_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_HTTP_STORE_H_
