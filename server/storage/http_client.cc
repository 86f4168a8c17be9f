#include "server/storage/http_client.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// More than this of fields is no answer that we want.
constexpr size_t kMostFieldBytes = 64 << 10;
// A body that nobody wants is read, so that its connection can serve again, when it is this small.
constexpr uint64_t kMostSkippedBytes = 16 << 10;

// What the callbacks of one request share.
struct Transfer {
  const HttpClient::Request& request;
  const HttpClient::OnHead& on_head;
  const HttpClient::OnBody& on_body;
  const KeepGoing& keep_going;
  const AddressPolicy& policy;
  const bool by_proxy;

  HttpClient::Head head = {};
  size_t field_bytes = 0;
  bool head_is_complete = false;
  bool skips_body = false;
  bool ended_early = false;  // by us: the body is not wanted
  absl::Status error = absl::OkStatus();
};

absl::Status Unavailable(const std::string& host, absl::string_view what) {
  return WithReason(absl::UnavailableError(absl::StrCat("'", host, "': ", what)),
                    "SOURCE_UNAVAILABLE");
}

void BeginHead(absl::string_view status_line, Transfer* transfer) {
  transfer->head = {};
  transfer->head.is_http1 = absl::StartsWith(status_line, "HTTP/1");
  const size_t space = status_line.find(' ');
  if (space == absl::string_view::npos ||
      !absl::SimpleAtoi(status_line.substr(space + 1, 3), &transfer->head.status)) {
    transfer->head.status = 0;
  }
}

bool EndHead(Transfer* transfer) {
  if (transfer->head.status < 200) return true;  // an interim answer: another follows
  transfer->head_is_complete = true;
  const absl::StatusOr<HttpClient::Body> body = transfer->on_head(transfer->head);
  if (!body.ok()) {
    transfer->error = body.status();
    return false;
  }
  transfer->skips_body = *body == HttpClient::Body::kSkip;
  if (!transfer->skips_body) return true;
  const std::optional<uint64_t> length = ContentLengthOf(transfer->head.fields);
  transfer->ended_early = !length.has_value() || *length > kMostSkippedBytes;
  return !transfer->ended_early;
}

size_t OnField(char* data, size_t /*one*/, size_t size, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  if (transfer->head_is_complete) return size;  // a trailer
  absl::string_view line(data, size);
  transfer->field_bytes += size;
  if (transfer->field_bytes > kMostFieldBytes) {
    transfer->error = Unavailable(transfer->request.uri.host, "its answer's head is too long");
    return 0;
  }
  absl::ConsumeSuffix(&line, "\n");
  absl::ConsumeSuffix(&line, "\r");
  if (absl::StartsWith(line, "HTTP/")) {
    BeginHead(line, transfer);
  } else if (line.empty()) {
    return EndHead(transfer) ? size : 0;
  } else {
    AddHttpField(line, &transfer->head.fields);
  }
  return size;
}

size_t OnData(char* data, size_t /*one*/, size_t size, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  if (!transfer->head_is_complete) return 0;  // the body of an answer that makes no sense
  if (transfer->skips_body) return size;
  transfer->error = transfer->on_body(absl::string_view(data, size));
  return transfer->error.ok() ? size : 0;
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto* transfer = static_cast<Transfer*>(user);
  const absl::Status status = transfer->keep_going();
  if (!status.ok()) transfer->error = status;
  return status.ok() ? 0 : 1;
}

bool IsAllowed(Transfer* transfer, AddressKind kind) {
  if (transfer->by_proxy) return true;
  const absl::Status checked = transfer->policy.Check(transfer->request.uri.host, kind);
  // Kept although another address of the host may do: if none does, this is why.
  if (!checked.ok()) transfer->error = checked;
  return checked.ok();
}

curl_socket_t OpenSocket(void* user, curlsocktype /*purpose*/, curl_sockaddr* address) {
  if (!IsAllowed(static_cast<Transfer*>(user), KindOfAddress(address->addr))) {
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Before each request, also on a connection that is used again.
int BeforeRequest(void* user, char* their_address, char*, int, int) {
  auto* transfer = static_cast<Transfer*>(user);
  const AddressKind kind = KindOfAddressText(their_address).value_or(AddressKind::kNever);
  if (!IsAllowed(transfer, kind)) return CURL_PREREQFUNC_ABORT;
  transfer->error = absl::OkStatus();  // of the host's other addresses
  return CURL_PREREQFUNC_OK;
}

// Sets options, and remembers whether one was refused.
class Setter {
 public:
  explicit Setter(CURL* handle) : handle_(handle) {}

  template <typename Value>
  void Set(CURLoption option, Value value) {
    ok_ = curl_easy_setopt(handle_, option, value) == CURLE_OK && ok_;
  }
  bool ok() const { return ok_; }

 private:
  CURL* const handle_;
  bool ok_ = true;
};

long Milliseconds(absl::Duration duration) {
  return static_cast<long>(absl::ToInt64Milliseconds(duration));
}

bool SetUp(CURL* handle, const HttpClient::Options& options, Transfer* transfer,
           const curl_slist* fields) {
  Setter setter(handle);
  setter.Set(CURLOPT_URL, transfer->request.uri.Target().c_str());
  setter.Set(CURLOPT_HTTPHEADER, fields);
  setter.Set(CURLOPT_PROTOCOLS_STR, "http,https");
  setter.Set(CURLOPT_PATH_AS_IS, 1L);
  setter.Set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  setter.Set(CURLOPT_FOLLOWLOCATION, 0L);
  setter.Set(CURLOPT_NOSIGNAL, 1L);
  setter.Set(CURLOPT_PROXY, options.proxy.c_str());  // "": none, whatever the environment says
  setter.Set(CURLOPT_NOPROXY, "");
  setter.Set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!options.ca_file.empty()) setter.Set(CURLOPT_CAINFO, options.ca_file.c_str());
  setter.Set(CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(options.connect_timeout));
  setter.Set(CURLOPT_TIMEOUT_MS, Milliseconds(options.request_timeout));
  setter.Set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options.least_bytes_per_second));
  setter.Set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(absl::ToInt64Seconds(options.slow_timeout)));
  setter.Set(CURLOPT_BUFFERSIZE, 256L << 10);
  setter.Set(CURLOPT_HEADERFUNCTION, OnField);
  setter.Set(CURLOPT_HEADERDATA, transfer);
  setter.Set(CURLOPT_WRITEFUNCTION, OnData);
  setter.Set(CURLOPT_WRITEDATA, transfer);
  setter.Set(CURLOPT_NOPROGRESS, 0L);
  setter.Set(CURLOPT_XFERINFOFUNCTION, OnProgress);
  setter.Set(CURLOPT_XFERINFODATA, transfer);
  setter.Set(CURLOPT_OPENSOCKETFUNCTION, OpenSocket);
  setter.Set(CURLOPT_OPENSOCKETDATA, transfer);
  setter.Set(CURLOPT_PREREQFUNCTION, BeforeRequest);
  setter.Set(CURLOPT_PREREQDATA, transfer);
  return setter.ok();
}

using FieldList = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

FieldList RequestFields(const HttpClient::Request& request) {
  std::vector<std::string> lines = {"Accept-Encoding: identity", "User-Agent: stockpot"};
  if (!request.range.empty()) lines.push_back(absl::StrCat("Range: ", request.range));
  if (!request.if_range.empty()) lines.push_back(absl::StrCat("If-Range: ", request.if_range));
  if (!request.bearer_token.empty()) {
    lines.push_back(absl::StrCat("Authorization: Bearer ", request.bearer_token));
  }
  FieldList list(nullptr, curl_slist_free_all);
  for (const std::string& line : lines) {
    list.reset(curl_slist_append(list.release(), line.c_str()));
  }
  return list;
}

absl::Status ToStatus(CURLcode code, const Transfer& transfer) {
  const std::string& host = transfer.request.uri.host;
  if (transfer.ended_early) return absl::OkStatus();
  if (code == CURLE_OK) {
    return transfer.head_is_complete ? absl::OkStatus() : Unavailable(host, "it gave no answer");
  }
  if (!transfer.error.ok()) return transfer.error;
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return WithReason(
          absl::FailedPreconditionError(absl::StrCat(
              "'", host,
              "' has no certificate that is trusted here; the operator trusts others with "
              "--remote_ca_file")),
          "SOURCE_UNTRUSTED");
    default:  // libcurl's own words, which have no part of the URI
      return Unavailable(host, curl_easy_strerror(code));
  }
}

absl::Status SetUpLibrary() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  return code == CURLE_OK ? absl::OkStatus() : absl::InternalError("libcurl cannot be set up");
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Create(Options options,
                                                               AddressPolicy policy) {
  RETURN_IF_ERROR(SetUpLibrary());
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(options), std::move(policy)));
}

HttpClient::~HttpClient() {
  absl::MutexLock lock(&mutex_);
  for (void* handle : idle_) curl_easy_cleanup(handle);
}

void* HttpClient::TakeHandle() {
  absl::MutexLock lock(&mutex_);
  if (idle_.empty()) return curl_easy_init();
  void* const handle = idle_.back();
  idle_.pop_back();
  return handle;
}

void HttpClient::GiveBack(void* handle) {
  curl_easy_reset(handle);  // options; its connections stay
  absl::MutexLock lock(&mutex_);
  idle_.push_back(handle);
}

absl::StatusOr<HttpClient::Head> HttpClient::Get(const Request& request, const OnHead& on_head,
                                                 const OnBody& on_body,
                                                 const KeepGoing& keep_going) {
  const std::string& host = request.uri.host;
  if (!options_.proxy.empty()) {  // it resolves names, so this is all that can be judged here
    const AddressKind kind = KindOfAddressText(host).value_or(AddressKind::kPublic);
    RETURN_IF_ERROR(policy_.Check(host, kind));
  }
  CURL* const handle = TakeHandle();
  if (handle == nullptr) return absl::InternalError("libcurl gives no handle");
  Transfer transfer{request, on_head, on_body, keep_going, policy_, !options_.proxy.empty()};
  const FieldList fields = RequestFields(request);
  absl::Status status = absl::InternalError("libcurl refuses an option");
  if (SetUp(handle, options_, &transfer, fields.get())) {
    status = ToStatus(curl_easy_perform(handle), transfer);
  }
  GiveBack(handle);
  RETURN_IF_ERROR(status);
  return std::move(transfer.head);
}

}  // namespace stockpot
