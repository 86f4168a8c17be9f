#include "server/storage/http_store.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

using Body = HttpClient::Body;
using Head = HttpClient::Head;

constexpr int kOk = 200, kPartialContent = 206, kRangeNotSatisfiable = 416;

absl::Status Unsupported(const std::string& host, absl::string_view what) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat("'", host, "' ", what)),
                    "SOURCE_UNSUPPORTED");
}

absl::Status BrokeOff(absl::string_view what) {
  return WithReason(absl::UnavailableError(what), "SOURCE_UNAVAILABLE");
}

absl::Status AnotherVersion() {
  return WithReason(absl::FailedPreconditionError(
                        "the file changed on its server while it was read; create the job again "
                        "once it is at rest"),
                    "CHECKPOINT_CHANGED");
}

// The MD5 of a body, where its head gives one.
class BodySum {
 public:
  explicit BodySum(const HttpFields& fields) : expected_(FieldOf(fields, "content-md5")) {
    if (expected_.empty()) return;
    context_.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr);
  }

  void Add(absl::string_view bytes) {
    if (context_ != nullptr) EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  }

  absl::Status Check() const {
    if (context_ == nullptr) return absl::OkStatus();
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), sum, &size);
    const absl::string_view bytes(reinterpret_cast<const char*>(sum), size);
    if (absl::Base64Escape(bytes) == expected_) return absl::OkStatus();
    return WithReason(absl::DataLossError("what arrived has not the sum that its server gave it"),
                      "SOURCE_DAMAGED");
  }

 private:
  const std::string expected_;
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_{nullptr, EVP_MD_CTX_free};
};

// We never ask for compression: a compressed body is refused, not unpacked.
absl::Status CheckEncoding(const std::string& host, const Head& head) {
  const std::string encoding = FieldOf(head.fields, "content-encoding");
  if (encoding.empty() || encoding == "identity") return absl::OkStatus();
  return Unsupported(host, "sends the file compressed, which was not asked for");
}

// The SHA-256 that the hub gives of a large file, as an entity tag; "" when it is none.
std::string LinkedSha256(const HttpFields& on_path) {
  std::string tag = FieldOf(on_path, "x-linked-etag");
  absl::string_view digits = tag;
  if (absl::ConsumePrefix(&digits, "\"")) absl::ConsumeSuffix(&digits, "\"");
  const bool is_sha256 = digits.size() == 64 &&
                         digits.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
  return is_sha256 ? std::string(digits) : "";
}

class HttpFile final : public RemoteFile {
 public:
  struct Place {
    RemoteUri uri;                  // where looking began
    RemoteUri found;                // where it ended: may hold a secret, and may expire
    std::string version_text, tag;  // of answers from there
  };

  HttpFile(Facts facts, const HttpRequests* requests, HttpRequests::CheckHop check_hop, Place place)
      : RemoteFile(std::move(facts)),
        requests_(requests),
        check_hop_(std::move(check_hop)),
        place_(std::move(place)),
        found_(place_.found) {}

  absl::Status Read(uint64_t begin, uint64_t end, const Sink& sink,
                    const KeepGoing& keep_going) override {
    const RemoteUri found = Found();
    const absl::Status status = ReadFrom(found, begin, end, sink, keep_going);
    const bool may_have_expired = absl::IsPermissionDenied(status) || absl::IsNotFound(status);
    if (!may_have_expired || found.Target() == place_.uri.Target()) return status;
    return ReadFrom(place_.uri, begin, end, sink, keep_going);
  }

  absl::Status ReadAll(const Sink& sink, const KeepGoing& keep_going) override {
    const auto on_head = [&](const Head& head) -> absl::StatusOr<Body> {
      RETURN_IF_ERROR(CheckVersion(head.fields));
      if (head.status != kOk) return Unsupported(place_.uri.host, "does not give the whole file");
      if (head.is_http1 && !ContentLengthOf(head.fields).has_value() &&
          FieldOf(head.fields, "transfer-encoding").empty()) {
        return Unsupported(place_.uri.host, "does not say how long the file is");
      }
      return Body::kRead;
    };
    const uint64_t most = facts().size.value_or(UINT64_MAX);
    return Receive(place_.uri, "", on_head, most, /*all=*/facts().size.has_value(), sink,
                   keep_going);
  }

 private:
  RemoteUri Found() {
    absl::MutexLock lock(&mutex_);
    return found_;
  }

  absl::Status ReadFrom(const RemoteUri& from, uint64_t begin, uint64_t end, const Sink& sink,
                        const KeepGoing& keep_going) {
    uint64_t length = end - begin;
    const auto on_head = [&](const Head& head) -> absl::StatusOr<Body> {
      if (head.status == kRangeNotSatisfiable) return AnotherVersion();
      RETURN_IF_ERROR(CheckVersion(head.fields));
      if (head.status == kOk) {
        // If-Range failed, or one of several servers does not know ranges.
        return BrokeOff(absl::StrCat("'", from.host, "' gave the whole file for a part"));
      }
      const std::optional<ContentRange> range = ContentRangeOf(head.fields);
      if (head.status != kPartialContent || !range.has_value() || !range->is_satisfied) {
        return Unsupported(from.host, "answers a request for a part with something else");
      }
      if (range->size != *facts().size) return AnotherVersion();
      if (range->begin != begin || range->end > end) {
        return BrokeOff(absl::StrCat("'", from.host, "' gave another part than was asked for"));
      }
      length = range->end - range->begin;
      return Body::kRead;
    };
    const auto received = [&](absl::string_view bytes) -> absl::Status {
      if (bytes.size() > length) return TooMuch();
      length -= bytes.size();
      return sink(bytes);
    };
    RETURN_IF_ERROR(Receive(from, absl::StrCat("bytes=", begin, "-", end - 1), on_head, UINT64_MAX,
                            /*all=*/false, received, keep_going));
    return length == 0 ? absl::OkStatus() : BrokeOff("the answer broke off");
  }

  static absl::Status TooMuch() {
    return WithReason(absl::DataLossError("more arrived than the server said there is"),
                      "SOURCE_DAMAGED");
  }

  // One request; at most `most` bytes, exactly so many when `all`.
  absl::Status Receive(const RemoteUri& from, const std::string& range,
                       const HttpClient::OnHead& on_head, uint64_t most, bool all, const Sink& sink,
                       const KeepGoing& keep_going) {
    std::optional<BodySum> sum;
    uint64_t received = 0;
    const auto on_answer = [&](const Head& head) -> absl::StatusOr<Body> {
      RETURN_IF_ERROR(CheckEncoding(from.host, head));
      sum.emplace(head.fields);
      return on_head(head);
    };
    const auto on_body = [&](absl::string_view bytes) -> absl::Status {
      received += bytes.size();
      if (received > most) return TooMuch();
      sum->Add(bytes);
      return sink(bytes);
    };
    ASSIGN_OR_RETURN(const HttpRequests::Answer answer,
                     requests_->Get(from, range, range.empty() ? "" : place_.tag, check_hop_,
                                    on_answer, on_body, keep_going));
    if (all && received != most) return BrokeOff("the answer broke off");
    RETURN_IF_ERROR(sum->Check());
    absl::MutexLock lock(&mutex_);
    found_ = answer.place;
    return absl::OkStatus();
  }

  // That an answer is of the version that was looked at.
  absl::Status CheckVersion(const HttpFields& fields) const {
    const std::string tag = StrongEntityTagOf(fields);
    const bool same = place_.tag.empty() || tag.empty()
                          ? VersionTextOf(fields) == place_.version_text
                          : tag == place_.tag;
    return same ? absl::OkStatus() : AnotherVersion();
  }

  const HttpRequests* const requests_;
  const HttpRequests::CheckHop check_hop_;
  const Place place_;
  absl::Mutex mutex_;
  RemoteUri found_ ABSL_GUARDED_BY(mutex_);
};

// Of an answer to a request for the first byte.
absl::StatusOr<RemoteFile::Facts> ReadFacts(const HttpRequests::Answer& answer,
                                            const std::string& tag) {
  RemoteFile::Facts facts;
  const HttpFields& fields = answer.head.fields;
  const std::optional<ContentRange> range = ContentRangeOf(fields);
  if (answer.head.status == kPartialContent && range.has_value() && range->is_satisfied) {
    facts.size = range->size;
    // Without anything that tells versions apart, parts could be of two of them.
    facts.has_ranges = !VersionTextOf(fields).empty();
  } else if (answer.head.status == kRangeNotSatisfiable && (!range || range->size == 0)) {
    facts.size = 0;  // nothing else has no first byte
  } else if (answer.head.status == kOk) {
    facts.size = ContentLengthOf(fields);
  } else {
    return Unsupported(answer.place.host,
                       absl::StrCat("answers with HTTP status ", answer.head.status));
  }
  facts.sha256 = LinkedSha256(answer.on_path);
  const std::string text = tag.empty() ? VersionTextOf(fields) : tag;
  facts.version = facts.sha256.empty() ? text : absl::StrCat("sha256:", facts.sha256);
  return facts;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RemoteFile>> LookOverHttp(const HttpRequests* requests,
                                                         const RemoteUri& uri,
                                                         const HttpRequests::CheckHop& check_hop,
                                                         const KeepGoing& keep_going,
                                                         HttpFields* on_path) {
  const auto on_head = [&](const Head& head) -> absl::StatusOr<Body> {
    RETURN_IF_ERROR(CheckEncoding(uri.host, head));
    return Body::kSkip;
  };
  const auto no_body = [](absl::string_view) { return absl::OkStatus(); };
  ASSIGN_OR_RETURN(HttpRequests::Answer answer,
                   requests->Get(uri, "bytes=0-0", "", check_hop, on_head, no_body, keep_going));
  const std::string tag = StrongEntityTagOf(answer.head.fields);
  ASSIGN_OR_RETURN(RemoteFile::Facts facts, ReadFacts(answer, tag));
  facts.pinned_uri = uri.ToString();
  HttpFile::Place place = {.uri = uri,
                           .found = answer.place,
                           .version_text = VersionTextOf(answer.head.fields),
                           .tag = tag};
  if (on_path != nullptr) *on_path = std::move(answer.on_path);
  return std::make_unique<HttpFile>(std::move(facts), requests, check_hop, std::move(place));
}

HttpStore::HttpStore(const HttpRequests* requests, RedirectPolicy redirects)
    : requests_(requests), redirects_(std::move(redirects)) {}

absl::StatusOr<std::unique_ptr<RemoteFile>> HttpStore::Look(const RemoteUri& uri, Purpose purpose,
                                                            const KeepGoing& keep_going) {
  const auto check_hop = [redirects = redirects_, purpose](const RemoteUri& from,
                                                           const RemoteUri& to) {
    return redirects.Check(from, to, purpose);
  };
  return LookOverHttp(requests_, uri, check_hop, keep_going, nullptr);
}

absl::StatusOr<std::vector<ListedFile>> HttpStore::List(const RemoteUri& folder, size_t,
                                                        const KeepGoing&) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "a web server such as '", folder.host,
                        "' has no listings: name each file, or read the folder from a Hugging Face "
                        "repository (hf://) or an object store (s3://)")),
                    "SOURCE_UNSUPPORTED");
}

}  // namespace stockpot
