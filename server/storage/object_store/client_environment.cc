#include "server/storage/object_store/client_environment.h"

#include <cstdlib>

namespace stockpot {
namespace {

// All that libcurl knows, in the order it looks.
constexpr const char* kProxies[] = {"https_proxy", "HTTPS_PROXY", "http_proxy",
                                    "HTTP_PROXY",  "all_proxy",   "ALL_PROXY"};
// Where machines of Google's and Azure's clouds ask for tokens: no proxy leads there.
constexpr const char* kMetadataHosts = "metadata.google.internal,169.254.169.254";

void Set(const char* name, const char* value) { setenv(name, value, /*overwrite=*/1); }

}  // namespace

void SetClientEnvironment(const RemoteAccess& access) {
  // The libraries' libcurl takes OpenSSL's own variable.
  if (!access.ca_file.empty()) Set("SSL_CERT_FILE", access.ca_file.c_str());
  for (const char* name : kProxies) unsetenv(name);
  if (access.proxy.empty()) return;
  Set("https_proxy", access.proxy.c_str());
  Set("http_proxy", access.proxy.c_str());
  Set("no_proxy", kMetadataHosts);
}

}  // namespace stockpot
