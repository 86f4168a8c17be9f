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

absl::Status NoAnswer(const std::string& host) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat("'", host, "' does not answer as a hub does")),
      "SOURCE_UNSUPPORTED");
}

// Where `link` (RFC 8288) says that the page after `page` is: of the same listing on the same
// server. An empty scheme: there is none.
absl::StatusOr<RemoteUri> NextPage(absl::string_view link, const RemoteUri& page) {
  const size_t begin = link.find('<'), end = link.find('>');
  if (begin == absl::string_view::npos || end == absl::string_view::npos || end < begin ||
      !absl::StrContains(link.substr(end), "rel=\"next\"")) {
    return RemoteUri();
  }
  ASSIGN_OR_RETURN(RemoteUri next, ParseRedirect(link.substr(begin + 1, end - begin - 1)));
  const bool is_same = next.scheme == page.scheme && next.authority == page.authority &&
                       next.path == page.path && next.query != page.query;
  return is_same ? absl::StatusOr<RemoteUri>(std::move(next)) : NoAnswer(page.host);
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

RemoteUri HubStore::AtApi(const RemoteUri& uri, const std::string& path) const {
  const bool is_data_set = absl::StartsWith(uri.authority, "datasets/");
  return AtEndpoint(absl::StrCat("/api/", is_data_set ? "" : "models/", uri.authority, path));
}

absl::StatusOr<Json> HubStore::AskApi(const RemoteUri& api, Purpose purpose,
                                      const KeepGoing& keep_going, RemoteUri* next_page) const {
  std::string text;
  const auto on_head = [](const HttpClient::Head&) { return HttpClient::Body::kRead; };
  const auto on_body = [&](absl::string_view bytes) {
    text.append(bytes.data(), bytes.size());
    return text.size() <= kMostApiBytes ? absl::OkStatus() : NoAnswer(endpoint_.host);
  };
  ASSIGN_OR_RETURN(const HttpRequests::Answer answer,
                   requests_->Get(api, "", "", HopsFor(purpose), on_head, on_body, keep_going));
  if (next_page != nullptr) {
    ASSIGN_OR_RETURN(*next_page, NextPage(FieldOf(answer.head.fields, "link"), api));
  }
  const absl::StatusOr<Json> json = ParseJson(text);
  return json.ok() ? json : NoAnswer(endpoint_.host);
}

absl::StatusOr<std::string> HubStore::FindCommit(const RemoteUri& uri, Purpose purpose,
                                                 const KeepGoing& keep_going) const {
  const RemoteUri api = AtApi(uri, absl::StrCat("/revision/", EncodedRevision(uri)));
  ASSIGN_OR_RETURN(const Json json, AskApi(api, purpose, keep_going, nullptr));
  std::string commit;
  if (json.is_object()) JsonReader(json, "").Read("sha", &commit);
  return IsCommit(commit) ? absl::StatusOr<std::string>(commit) : NoCommit(endpoint_.host);
}

absl::StatusOr<std::vector<ListedFile>> HubStore::List(const RemoteUri& folder, size_t most,
                                                       const KeepGoing& keep_going) {
  RemoteUri pinned = folder;
  if (!IsCommit(folder.revision)) {
    ASSIGN_OR_RETURN(pinned.revision, FindCommit(folder, Purpose::kData, keep_going));
  }
  RemoteUri root = pinned;
  root.path = "";
  const std::string base = DecodedPath(folder);
  const std::string prefix = base.empty() ? "" : base + "/";
  std::vector<ListedFile> files;
  RemoteUri page = AtApi(folder, absl::StrCat("/tree/", pinned.revision, folder.path));
  page.query = "recursive=true";
  while (!page.scheme.empty()) {
    RemoteUri next;
    ASSIGN_OR_RETURN(const Json entries, AskApi(page, Purpose::kData, keep_going, &next));
    if (!entries.is_array()) return NoAnswer(endpoint_.host);
    for (const Json& entry : entries) {
      std::string path, type;
      ListedFile file;
      JsonReader reader(entry, "");
      reader.Read("path", &path);
      reader.Read("type", &type);
      reader.Read("size", &file.size);
      reader.Read("oid", &file.version);
      if (!reader.status().ok()) return NoAnswer(endpoint_.host);
      if (type != "file" || !absl::StartsWith(path, prefix)) continue;
      const absl::StatusOr<RemoteUri> uri = Below(root, path);
      if (!uri.ok()) continue;
      if (files.size() == most) return TooManyFiles(most);
      file.uri = *uri;
      file.path = path.substr(prefix.size());
      files.push_back(std::move(file));
    }
    page = std::move(next);
  }
  return SortedByPath(std::move(files));
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
