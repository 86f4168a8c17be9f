// One HTTP request and its answer, by libcurl: no redirect followed, nothing tried again, no
// compression asked for, no cookies, no user names, no proxy of the environment. What an answer
// means is for those above (http_store.h).
//
// Every address that a connection goes to passes the AddressPolicy, after the name was resolved
// and before the connection is made; a connection that is used again passes once more. With a proxy
// the proxy resolves names: then only addresses written in URIs are judged, and the proxy must
// guard the rest.
//
// Thread safety: thread-safe; connections are shared by all calls.
#ifndef STOCKPOT_SERVER_STORAGE_HTTP_CLIENT_H_
#define STOCKPOT_SERVER_STORAGE_HTTP_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/progress.h"
#include "server/storage/address_policy.h"
#include "server/storage/http_fields.h"
#include "server/storage/remote_uri.h"

namespace stockpot {

class HttpClient {
 public:
  struct Options {
    absl::Duration connect_timeout = absl::Seconds(20);
    // A transfer that is slower than this for so long has failed.
    int64_t least_bytes_per_second = 1024;
    absl::Duration slow_timeout = absl::Seconds(30);
    absl::Duration request_timeout = absl::Hours(24);  // of one request, all in all
    std::string ca_file;                               // PEM; "": the system's
    std::string proxy;                                 // "http://proxy:3128"; "": none
  };

  struct Request {
    RemoteUri uri;             // http or https
    std::string range;         // "bytes=0-99"; "": all
    std::string if_range;      // an entity tag; "": none
    std::string bearer_token;  // for this host; "": none
  };
  struct Head {
    int status = 0;
    bool is_http1 = false;  // whose bodies may end by closing the connection
    HttpFields fields;
  };
  enum class Body { kRead, kSkip };
  // Called once, before the body. An error ends the request with it.
  using OnHead = std::function<absl::StatusOr<Body>(const Head&)>;
  // Called with one piece after the other. An error ends the request with it.
  using OnBody = std::function<absl::Status(absl::string_view)>;

  // The first call in a process sets libcurl up (curl_global_init), which is never undone.
  // Errors: INTERNAL, libcurl cannot be set up.
  static absl::StatusOr<std::unique_ptr<HttpClient>> Create(Options options, AddressPolicy policy);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  const AddressPolicy& policy() const { return policy_; }

  // Asks with GET. OK, whatever the answer's status, once the body was read to its end or skipped.
  // Errors: UNAVAILABLE (reason SOURCE_UNAVAILABLE): no answer, one that broke off, or too slow;
  // FAILED_PRECONDITION (SOURCE_UNTRUSTED): no valid certificate; PERMISSION_DENIED
  // (SOURCE_ADDRESS_NOT_ALLOWED); what the functions gave. Messages name the host and nothing else
  // of the URI.
  absl::StatusOr<Head> Get(const Request& request, const OnHead& on_head, const OnBody& on_body,
                           const KeepGoing& keep_going);

 private:
  HttpClient(Options options, AddressPolicy policy)
      : options_(std::move(options)), policy_(std::move(policy)) {}
  // libcurl's handles, which keep connections; void so that no header of ours needs libcurl's.
  void* TakeHandle();
  void GiveBack(void* handle);

  const Options options_;
  const AddressPolicy policy_;
  absl::Mutex mutex_;
  std::vector<void*> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_HTTP_CLIENT_H_
