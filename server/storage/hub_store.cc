#include "server/storage/hub_store.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMostApiBytes = 8 << 20;  // it lists every file of a repository

std::string EncodedRevision(const RemoteUri& uri) {
  if (uri.revision.empty()) return "main";
  return absl::StrJoin(absl::StrSplit(uri.revision, '/'), "%2F");
}

absl::Status NoCommit(const std::string& host) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat("'", host, "' does not say which commit the revision is")),
                    "SOURCE_UNSUPPORTED");
}

// The same file with other facts.
class PinnedFile final : public RemoteFile {
 public:
  PinnedFile(Facts facts, std::unique_ptr<RemoteFile> file)
      : RemoteFile(std::move(facts)), file_(std::move(file)) {}

  absl::Status Read(uint64_t begin, uint64_t end, const Sink& sink,
                    const KeepGoing& keep_going) override {
    return file_->Read(begin, end, sink, keep_going);
  }
  absl::Status ReadAll(const Sink& sink, const KeepGoing& keep_going) override {
    return file_->ReadAll(sink, keep_going);
  }

 private:
  const std::unique_ptr<RemoteFile> file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HubStore>> HubStore::Create(const HttpRequests* requests,
                                                           const std::string& endpoint,
                                                           RedirectPolicy redirects) {
  ASSIGN_OR_RETURN(RemoteUri uri, ParseRedirect(endpoint));
  if (!uri.query.empty()) return absl::InvalidArgumentError("an endpoint has no query");
  while (absl::EndsWith(uri.path, "/")) uri.path.pop_back();
  return std::unique_ptr<HubStore>(new HubStore(requests, std::move(uri), std::move(redirects)));
}

RemoteUri HubStore::AtEndpoint(const std::string& path) const {
  RemoteUri uri = endpoint_;
  uri.path += path;
  return uri;
}

HttpRequests::CheckHop HubStore::HopsFor(Purpose purpose) const {
  return [this, purpose](const RemoteUri& from, const RemoteUri& to) {
    const bool is_endpoint = to.scheme == endpoint_.scheme && to.authority == endpoint_.authority;
    return is_endpoint ? absl::OkStatus() : redirects_.Check(from, to, purpose);
  };
}

absl::StatusOr<std::string> HubStore::FindCommit(const RemoteUri& uri, Purpose purpose,
                                                 const KeepGoing& keep_going) const {
  const bool is_data_set = absl::StartsWith(uri.authority, "datasets/");
  const RemoteUri api = AtEndpoint(absl::StrCat("/api/", is_data_set ? "" : "models/",
                                                uri.authority, "/revision/", EncodedRevision(uri)));
  std::string text;
  const auto on_head = [](const HttpClient::Head&) { return HttpClient::Body::kRead; };
  const auto on_body = [&](absl::string_view bytes) {
    text.append(bytes.data(), bytes.size());
    return text.size() <= kMostApiBytes ? absl::OkStatus() : NoCommit(endpoint_.host);
  };
  RETURN_IF_ERROR(
      requests_->Get(api, "", "", HopsFor(purpose), on_head, on_body, keep_going).status());
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok() || !json->is_object()) return NoCommit(endpoint_.host);
  std::string commit;
  JsonReader(*json, "").Read("sha", &commit);
  return IsCommit(commit) ? absl::StatusOr<std::string>(commit) : NoCommit(endpoint_.host);
}

absl::StatusOr<std::unique_ptr<RemoteFile>> HubStore::Look(const RemoteUri& uri, Purpose purpose,
                                                           const KeepGoing& keep_going) {
  const RemoteUri resolve =
      AtEndpoint(absl::StrCat("/", uri.authority, "/resolve/", EncodedRevision(uri), uri.path));
  HttpFields on_path;
  ASSIGN_OR_RETURN(std::unique_ptr<RemoteFile> file,
                   LookOverHttp(requests_, resolve, HopsFor(purpose), keep_going, &on_path));
  RemoteUri pinned = uri;
  if (!IsCommit(uri.revision)) {
    pinned.revision = FieldOf(on_path, "x-repo-commit");
    if (!IsCommit(pinned.revision)) {
      // Asked by commit then: the branch may have moved between the two requests.
      ASSIGN_OR_RETURN(pinned.revision, FindCommit(uri, purpose, keep_going));
      return Look(pinned, purpose, keep_going);
    }
  }
  RemoteFile::Facts facts = file->facts();
  facts.pinned_uri = pinned.ToString();
  return std::make_unique<PinnedFile>(std::move(facts), std::move(file));
}

}  // namespace stockpot
