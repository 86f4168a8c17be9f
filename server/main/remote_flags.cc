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
     "hf://[datasets/]OWNER[/REPOSITORY[/PATH]], s3://BUCKET[/PREFIX], gs://…, "
     "abfs://CONTAINER[/PREFIX]; may be given many times. None: local files only"},
    {"--allowed_output_uri_prefix", &RemoteAccess::allowed_output_uri_prefixes,
     "Jobs may write their artifacts (output_uri) below this URI: s3://BUCKET[/PREFIX], gs://…, "
     "abfs://CONTAINER[/PREFIX]; may be given many times"},
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
    {"--s3_endpoint", &RemoteAccess::s3_endpoint,
     "Where s3:// URIs are read from, such as https://minio.example.com:9000, in place of Amazon "
     "S3. It "
     "may have a private address, whatever --allowed_private_host says: a client cannot name it"},
    {"--s3_region", &RemoteAccess::s3_region,
     "The buckets' region. Without it that of the environment ($AWS_REGION, profile), else "
     "us-east-1"},
    {"--s3_addressing", &RemoteAccess::s3_addressing,
     "path (ENDPOINT/BUCKET) or virtual (BUCKET.ENDPOINT). Without it path with --s3_endpoint, "
     "else virtual"},
    {"--s3_credentials_file", &RemoteAccess::s3_credentials_file,
     "File of keys for s3:// URIs in the format of ~/.aws/credentials. Workers read it. Without it "
     "the "
     "AWS default chain: environment, profile, web identity, container or instance"},
    {"--s3_profile", &RemoteAccess::s3_profile, "The section of --s3_credentials_file"},
    {"--gcs_endpoint", &RemoteAccess::gcs_endpoint,
     "Where gs:// URIs are read from in place of Google Cloud Storage, such as an emulator. As "
     "with "
     "--s3_endpoint it may have a private address"},
    {"--gcs_credentials_file", &RemoteAccess::gcs_credentials_file,
     "JSON file of credentials for gs:// URIs, as Google's tools write it. Workers read it. "
     "Without "
     "it the application default credentials: environment, gcloud's, the machine's or pod's own"},
    {"--azure_account", &RemoteAccess::azure_account,
     "The storage account that abfs:// and az:// URIs are of"},
    {"--azure_endpoint", &RemoteAccess::azure_endpoint,
     "Where abfs:// URIs are read from in place of Azure, such as an emulator: ENDPOINT/ACCOUNT. "
     "As "
     "with --s3_endpoint it may have a private address"},
    {"--azure_account_key_file", &RemoteAccess::azure_account_key_file,
     "File of the account's key. Workers read it. Without this and --azure_sas_token_file Azure's "
     "default chain: environment, workload identity, managed identity, its command line's"},
    {"--azure_sas_token_file", &RemoteAccess::azure_sas_token_file,
     "File of a shared access signature. Workers read it"},
};

struct SwitchFlag {
  const char* name;
  bool RemoteAccess::*value;
  const char* help;
};

constexpr SwitchFlag kSwitches[] = {
    {"--s3_anonymous", &RemoteAccess::s3_anonymous,
     "Reads s3:// URIs without any credentials: public buckets"},
    {"--gcs_anonymous", &RemoteAccess::gcs_anonymous,
     "Reads gs:// URIs without any credentials: public buckets, emulators"},
    {"--azure_anonymous", &RemoteAccess::azure_anonymous,
     "Reads abfs:// URIs without any credentials: public containers"},
};

}  // namespace

void AddRemoteFlags(CLI::App* app, RemoteFlags* flags) {
  for (const ListFlag& flag : kLists) {
    app->add_option(flag.name, flags->access.*flag.values, flag.help)->take_all();
  }
  for (const TextFlag& flag : kTexts) {
    app->add_option(flag.name, flags->access.*flag.value, flag.help)->capture_default_str();
  }
  for (const SwitchFlag& flag : kSwitches) {
    app->add_flag(flag.name, flags->access.*flag.value, flag.help);
  }
  app->add_option("--max_download_bytes", flags->max_download_bytes,
                  "The most that downloaded files take in the data folder's cache, that folders of "
                  "files take, and the largest one; the least recently used go first")
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
  for (const SwitchFlag& flag : kSwitches) {
    if (flags.access.*flag.value) arguments.emplace_back(flag.name);
  }
  arguments.push_back(absl::StrCat("--max_download_bytes=", flags.max_download_bytes));
  return arguments;
}

}  // namespace stockpot
