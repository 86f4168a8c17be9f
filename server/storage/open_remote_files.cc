// The half of remote_files.h that puts the stores together.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/hub_store.h"
#include "server/storage/object_store_access.h"
#include "server/storage/remote_files.h"

namespace stockpot {
namespace {

constexpr size_t kMostTokenBytes = 64 << 10;

// Where the hub itself keeps large files.
constexpr const char* kHubHosts[] = {"*.huggingface.co", "*.hf.co"};
constexpr absl::string_view kHub = "huggingface.co";

// A store with all that it stands on.
template <typename Store>
class OwningStore final : public RemoteStore {
 public:
  OwningStore(std::shared_ptr<const void> below, std::unique_ptr<Store> store)
      : below_(std::move(below)), store_(std::move(store)) {}

  absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri& uri, Purpose purpose,
                                                   const KeepGoing& keep_going) override {
    return store_->Look(uri, purpose, keep_going);
  }
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                               const KeepGoing& keep_going) override {
    return store_->List(folder, most, keep_going);
  }

 private:
  const std::shared_ptr<const void> below_;
  const std::unique_ptr<Store> store_;
};

// Client and requests, which the stores share.
struct Http {
  std::unique_ptr<HttpClient> client;
  std::unique_ptr<HttpRequests> requests;
};

absl::StatusOr<Credentials> ReadCredentials(const RemoteAccess& access) {
  Credentials credentials;
  if (!access.tokens_file.empty()) {
    absl::StatusOr<Credentials> read = Credentials::ReadFile(access.tokens_file);
    RETURN_IF_ERROR(Annotate(read.status(), "--remote_tokens_file"));
    credentials = *std::move(read);
  }
  std::string token = access.hf_token;
  if (!access.hf_token_file.empty()) {
    absl::StatusOr<std::string> read = ReadSmallFile(access.hf_token_file, kMostTokenBytes);
    RETURN_IF_ERROR(Annotate(read.status(), "--hf_token_file"));
    token = *std::move(read);
  }
  token = std::string(absl::StripAsciiWhitespace(token));
  if (token.empty()) return credentials;
  const absl::StatusOr<RemoteUri> endpoint = ParseRedirect(access.hf_endpoint);
  RETURN_IF_ERROR(Annotate(endpoint.status(), "--hf_endpoint"));
  RETURN_IF_ERROR(Annotate(credentials.Add(endpoint->authority, token), "the hub's token"));
  return credentials;
}

// As hosts stand in RemoteUri.
absl::StatusOr<std::vector<std::string>> PrivateHosts(const RemoteAccess& access) {
  std::vector<std::string> hosts;
  for (const std::string& text : access.allowed_private_hosts) {
    const std::string host = absl::AsciiStrToLower(text);
    const bool is_address = KindOfAddressText(host).has_value();
    if (host.empty() || (!is_address && host.find_first_of(":/@[]*?#") != std::string::npos)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--allowed_private_host=", text, " must be a host's name or address, without a port"));
    }
    hosts.push_back(host);
  }
  return hosts;
}

absl::StatusOr<std::shared_ptr<Http>> MakeHttp(const RemoteAccess& access, Clock* clock) {
  if (absl::StrContains(access.proxy, '@')) {
    return absl::InvalidArgumentError(
        "--remote_proxy must hold no user name and password: every user of the host sees flags");
  }
  HttpClient::Options options;
  options.ca_file = access.ca_file;
  options.proxy = access.proxy;
  ASSIGN_OR_RETURN(std::vector<std::string> private_hosts, PrivateHosts(access));
  ASSIGN_OR_RETURN(Credentials credentials, ReadCredentials(access));
  auto http = std::make_shared<Http>();
  ASSIGN_OR_RETURN(http->client,
                   HttpClient::Create(std::move(options), AddressPolicy(std::move(private_hosts))));
  http->requests =
      std::make_unique<HttpRequests>(http->client.get(), clock, std::move(credentials));
  return http;
}

absl::StatusOr<RedirectPolicy> Redirects(const RemoteAccess& access,
                                         std::vector<std::string> more_hosts) {
  std::vector<std::string> hosts = access.allowed_redirect_hosts;
  hosts.insert(hosts.end(), more_hosts.begin(), more_hosts.end());
  absl::StatusOr<RedirectPolicy> policy = RedirectPolicy::Create(
      access.allowed_uri_prefixes, access.allowed_architecture_prefixes, hosts);
  RETURN_IF_ERROR(
      Annotate(policy.status(),
               "--allowed_uri_prefix, --allowed_architecture_prefix or --allowed_redirect_host"));
  return policy;
}

using Stores = RemoteFiles::Stores;

absl::StatusOr<Stores> MakeStores(const RemoteAccess& access, Clock* clock) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Http> http, MakeHttp(access, clock));
  ASSIGN_OR_RETURN(RedirectPolicy redirects, Redirects(access, {}));
  const absl::StatusOr<RemoteUri> endpoint = ParseRedirect(access.hf_endpoint);
  RETURN_IF_ERROR(Annotate(endpoint.status(), "--hf_endpoint"));
  std::vector<std::string> hub_hosts;
  if (endpoint->host == kHub) hub_hosts.assign(std::begin(kHubHosts), std::end(kHubHosts));
  ASSIGN_OR_RETURN(RedirectPolicy hub_redirects, Redirects(access, std::move(hub_hosts)));
  auto hub = HubStore::Create(http->requests.get(), access.hf_endpoint, std::move(hub_redirects));
  RETURN_IF_ERROR(Annotate(hub.status(), "--hf_endpoint"));
  Stores stores;
  for (const char* scheme : {"http", "https"}) {
    stores[scheme] = std::make_unique<OwningStore<HttpStore>>(
        http, std::make_unique<HttpStore>(http->requests.get(), redirects));
  }
  stores["hf"] = std::make_unique<OwningStore<HubStore>>(http, *std::move(hub));
  return stores;
}

}  // namespace

absl::Status CheckRemoteAccess(const RemoteAccess& access) {
  SystemClock clock;
  RETURN_IF_ERROR(MakeStores(access, &clock).status());
  RETURN_IF_ERROR(CheckObjectStoreAccess(access));
  if (access.ca_file.empty() || ::access(access.ca_file.c_str(), R_OK) == 0) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "--remote_ca_file");
}

absl::StatusOr<std::unique_ptr<RemoteFiles>> OpenRemoteFiles(const RemoteAccess& access,
                                                             RemoteFiles::Options options,
                                                             Clock* clock,
                                                             const FailPoints* fail_points,
                                                             Stores more_stores) {
  ASSIGN_OR_RETURN(Stores stores, MakeStores(access, clock));
  stores.merge(std::move(more_stores));
  return RemoteFiles::Create(std::move(options), std::move(stores), clock, fail_points);
}

}  // namespace stockpot
