#include "server/main/remote_flags.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

struct ListFlag {
  const char* name;
  std::vector<std::string> RemoteAccess::*values;
  const char* help;
};

constexpr ListFlag kLists[] = {
    {"--allowed_uri_prefix", &RemoteAccess::allowed_uri_prefixes,
     "Checkpoints and data may be read below this URI: https://HOST/PATH, http://…, "
     "hf://[datasets/]OWNER[/REPOSITORY[/PATH]]; may be given many times. None: local files only"},
    {"--allowed_redirect_host", &RemoteAccess::allowed_redirect_hosts,
     "Servers may redirect to this host, or with *.example.com to all below it; may be given many "
     "times. Elsewhere they may redirect only below allowed prefixes"},
    {"--allowed_private_host", &RemoteAccess::allowed_private_hosts,
     "This host, by the name that stands in URIs, may have a private or loopback address; may be "
     "given many times. None: public addresses only"},
};

struct TextFlag {
  const char* name;
  std::string RemoteAccess::*value;
  const char* help;
};

constexpr TextFlag kTexts[] = {
    {"--remote_ca_file", &RemoteAccess::ca_file,
     "PEM file of the authorities that servers' certificates are checked against, in place of the "
     "system's"},
    {"--remote_proxy", &RemoteAccess::proxy,
     "Reads by this proxy, such as http://proxy:3128, which must guard the addresses then. The "
     "environment's is never used"},
    {"--remote_tokens_file", &RemoteAccess::tokens_file,
     "File of bearer tokens, a line for each: HOST[:PORT] TOKEN. Workers read it"},
    {"--hf_token_file", &RemoteAccess::hf_token_file,
     "File of the token for --hf_endpoint. Without it $HF_TOKEN is used"},
    {"--hf_endpoint", &RemoteAccess::hf_endpoint, "Where hf:// URIs are read from"},
};

}  // namespace

void AddRemoteFlags(CLI::App* app, RemoteFlags* flags) {
  for (const ListFlag& flag : kLists) {
    app->add_option(flag.name, flags->access.*flag.values, flag.help)->take_all();
  }
  for (const TextFlag& flag : kTexts) {
    app->add_option(flag.name, flags->access.*flag.value, flag.help)->capture_default_str();
  }
  app->add_option("--max_download_bytes", flags->max_download_bytes,
                  "The most that downloaded files take in the data folder's cache, and the largest "
                  "one; the least recently used go first")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

std::vector<std::string> ToArguments(const RemoteFlags& flags) {
  std::vector<std::string> arguments;
  for (const ListFlag& flag : kLists) {
    for (const std::string& value : flags.access.*flag.values) {
      arguments.push_back(absl::StrCat(flag.name, "=", value));
    }
  }
  const RemoteAccess defaults;
  for (const TextFlag& flag : kTexts) {
    const std::string& value = flags.access.*flag.value;
    if (value != defaults.*flag.value) arguments.push_back(absl::StrCat(flag.name, "=", value));
  }
  arguments.push_back(absl::StrCat("--max_download_bytes=", flags.max_download_bytes));
  return arguments;
}

}  // namespace stockpot
