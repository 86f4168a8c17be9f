#include "tests/support/http_server/hub_server.h"

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/digest.h"

namespace stockpot {

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

void HubServer::Edit(const HttpServer::Request& request, HttpServer::Reply* reply) {
  std::lock_guard lock(mutex_);
  std::string target = request.target;
  const auto authorization = request.fields.find("authorization");
  const bool is_known = token_.empty() || (authorization != request.fields.end() &&
                                           authorization->second == "Bearer " + token_);
  const size_t resolve = target.find("/resolve/"), revision = target.find("/revision/");
  if (absl::StartsWith(target, "/cdn/")) {
    // The signature is what allows it.
    if (!absl::EndsWith(target, "?signature=secret")) reply->Become(403);
  } else if (!absl::StartsWith(target, "/hub/") || !is_known) {
    reply->Become(401);
  } else if (resolve != std::string::npos) {
    const std::string repository = target.substr(5, resolve - 5);
    const std::string rest = target.substr(resolve + 9);
    const std::string commit = CommitOf(repository, rest.substr(0, rest.find('/')));
    const auto sum = sums_.find(repository + "@" + commit + rest.substr(rest.find('/')));
    if (sum == sums_.end()) return reply->Become(404);
    reply->Become(302, {{"Location", "/cdn/" + sum->second + "?signature=secret"},
                        {"X-Linked-Etag", "\"" + sum->second + "\""}});
    if (tells_commit_) reply->fields["X-Repo-Commit"] = commit;
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
