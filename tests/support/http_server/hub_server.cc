#include "tests/support/http_server/hub_server.h"

#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/digest.h"

namespace stockpot {
namespace {

std::string Decoded(const std::string& path) {
  std::string decoded;
  for (size_t i = 0; i < path.size(); ++i) {
    const bool is_encoded = path[i] == '%' && i + 2 < path.size();
    decoded += is_encoded ? absl::HexStringToBytes(path.substr(i + 1, 2)) : path.substr(i, 1);
    if (is_encoded) i += 2;
  }
  return decoded;
}

}  // namespace

HubServer::HubServer() {
  http_.OnReply([this](const auto& request, auto* reply) { Edit(request, reply); });
}

void HubServer::Commit(const std::string& repository, const std::string& branch,
                       const std::string& commit, const std::map<std::string, std::string>& files) {
  for (const auto& [path, content] : files) {
    const std::string sum = Sha256Hex(content);
    http_.Put("/cdn/" + sum, {.content = content, .entity_tag = "\"cdn-" + sum + "\""});
    std::lock_guard lock(mutex_);
    sums_[repository + "@" + commit + "/" + path] = sum;
    sizes_[repository + "@" + commit + "/" + path] = content.size();
  }
  std::lock_guard lock(mutex_);
  branches_[{repository, branch}] = commit;
}

void HubServer::OnFault(std::function<void(const HttpServer::Request&, HttpServer::Reply*)> fault) {
  std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

std::string HubServer::CommitOf(const std::string& repository, const std::string& revision) const {
  const auto branch = branches_.find({repository, revision});
  return branch == branches_.end() ? revision : branch->second;
}

void HubServer::List(const std::string& place, const std::string& target,
                     HttpServer::Reply* reply) const {
  const size_t cursor = target.find("cursor=");
  const std::string after = cursor == std::string::npos ? "" : target.substr(cursor + 7);
  const size_t root = place.find('/', place.find('@'));
  const std::string repository = place.substr(0, root);
  std::string entries, last;
  size_t count = 0;
  bool is_there = false;
  for (const auto& [name, sum] : sums_) {
    if (!absl::StartsWith(name, place + "/")) continue;
    is_there = true;
    const std::string path = name.substr(repository.size() + 1);
    if (path <= after) continue;
    if (count++ == page_size_) {
      reply->fields["Link"] = absl::StrCat("<", http_.Url(target.substr(0, target.find('?'))),
                                           "?recursive=true&cursor=", last, ">; rel=\"next\"");
      break;
    }
    last = path;
    absl::StrAppend(&entries, entries.empty() ? "" : ",", R"({"type":"file","oid":")",
                    sum.substr(0, 40), R"(","size":)", sizes_.at(name), R"(,"path":")", path,
                    "\"}");
  }
  if (!is_there) return reply->Become(404);
  const auto link = reply->fields;
  reply->Become(200, absl::StrCat(R"([{"type":"directory","oid":"x","size":0,"path":"d"})",
                                  entries.empty() ? "" : ",", entries, "]"));
  reply->fields = link;
}

void HubServer::Edit(const HttpServer::Request& request, HttpServer::Reply* reply) {
  std::lock_guard lock(mutex_);
  std::string target = request.target;
  const auto authorization = request.fields.find("authorization");
  const bool is_known = token_.empty() || (authorization != request.fields.end() &&
                                           authorization->second == "Bearer " + token_);
  const size_t resolve = target.find("/resolve/"), revision = target.find("/revision/"),
               tree = target.find("/tree/");
  if (absl::StartsWith(target, "/cdn/")) {
    // The signature is what allows it.
    if (!absl::EndsWith(target, "?signature=secret")) reply->Become(403);
  } else if (!absl::StartsWith(target, "/hub/") || !is_known) {
    reply->Become(401);
  } else if (resolve != std::string::npos) {
    const std::string repository = target.substr(5, resolve - 5);
    const std::string rest = target.substr(resolve + 9);
    const std::string commit = CommitOf(repository, rest.substr(0, rest.find('/')));
    const std::string root = repository + "@" + commit, path = rest.substr(rest.find('/'));
    auto sum = sums_.find(root + path);
    if (sum == sums_.end()) sum = sums_.find(root + Decoded(path));
    if (sum == sums_.end()) return reply->Become(404);
    reply->Become(302, {{"Location", "/cdn/" + sum->second + "?signature=secret"},
                        {"X-Linked-Etag", "\"" + sum->second + "\""}});
    if (tells_commit_) reply->fields["X-Repo-Commit"] = commit;
  } else if (tree != std::string::npos) {
    absl::string_view name = absl::string_view(target).substr(9, tree - 9);
    absl::ConsumePrefix(&name, "models/");
    const std::string rest = target.substr(tree + 6, target.find('?') - tree - 6);
    reply->Become(200);
    List(absl::StrCat(name, "@", rest), target, reply);
  } else if (revision != std::string::npos) {
    std::string repository = target.substr(9, revision - 9);  // after /hub/api/
    absl::string_view name = repository;
    absl::ConsumePrefix(&name, "models/");
    const std::string commit = CommitOf(std::string(name), target.substr(revision + 10));
    reply->Become(200);
    reply->content =
        std::make_shared<const std::string>(absl::StrCat(R"({"sha":")", commit, "\"}"));
    reply->size = reply->content->size();
  }
  if (fault_) fault_(request, reply);
}

}  // namespace stockpot
