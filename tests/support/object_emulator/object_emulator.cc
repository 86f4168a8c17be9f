#include "tests/support/object_emulator/object_emulator.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/storage/object_store/file_systems.h"
#include "tests/support/http_fetch.h"

extern char** environ;

namespace stockpot {
namespace {

constexpr char kBucket[] = "stockpot-test";
constexpr char kAccount[] = "stockpottest";
constexpr char kKey[] = "the-key";
constexpr char kSecret[] = "the-secret-key";

std::string PathOf(const ObjectEmulator::Kind& kind) {
  return absl::StrCat(STOCKPOT_DEPENDENCIES, "/", kind.program);
}

// Azure's secrets are base64.
std::string AccountKey(const std::string& secret) { return absl::Base64Escape(secret); }

void Expect(const arrow::Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }

}  // namespace

bool ObjectEmulator::IsInstalled(const Kind& kind) {
  return access(PathOf(kind).c_str(), R_OK) == 0;
}

std::string ObjectEmulator::Skipped(const Kind& kind) {
  return absl::StrCat("no ", PathOf(kind),
                      ": deploy/install-dependencies --object-store-tests brings it");
}

ObjectEmulator::ObjectEmulator(const Kind& kind)
    : scheme_(kind.scheme), program_(PathOf(kind)), port_(FreePort()) {
  std::filesystem::create_directories(folder_ / "objects");
  WriteCredentials(kSecret);
  const std::pair<const char*, std::string> variables[] = {
      {"ROOT_ACCESS_KEY", kKey},
      {"ROOT_SECRET_KEY", kSecret},
      {"GOOGLE_CLOUD_PROJECT", "stockpot-test"},  // that a bucket is made in
      {"AZURITE_ACCOUNTS", absl::StrCat(kAccount, ":", AccountKey(kSecret))}};
  for (const auto& [name, value] : variables) setenv(name, value.c_str(), 1);
  const std::vector<std::string> arguments = CommandLine();
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  EXPECT_EQ(posix_spawnp(&process_id_, argv[0], nullptr, nullptr, argv.data(), environ), 0);
  for (int i = 0; i < 2000 && !Answers(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto opened = scheme_ == "s3"   ? OpenS3(Access())
                      : scheme_ == "gs" ? OpenGcs(Access())
                                        : OpenAzure(Access());
  EXPECT_TRUE(opened.ok()) << opened.status();
  file_system_ = *opened;
  relay_ = std::make_unique<FaultyRelay>(port_);
  if (scheme_ == "s3") {  // its folder's folders; the client makes none unless it is told to
    std::filesystem::create_directories(folder_ / absl::StrCat("objects/", kBucket));
  } else {
    Expect(file_system_->CreateDir(kBucket, /*recursive=*/false));
  }
  for (const auto& [name, value] : variables) unsetenv(name);
}

ObjectEmulator::~ObjectEmulator() {
  if (process_id_ <= 0) return;
  kill(process_id_, SIGKILL);
  waitpid(process_id_, nullptr, 0);
}

std::vector<std::string> ObjectEmulator::CommandLine() const {
  const std::string port = absl::StrCat(port_), objects = folder_ / "objects";
  if (scheme_ == "s3") {
    return {program_, "--port", "127.0.0.1:" + port, "--quiet", "posix", objects};
  }
  if (scheme_ == "gs") {
    return {program_,
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            port,
            "-backend",
            "memory",
            "-external-url",
            "http://127.0.0.1:" + port,
            "-log-level",
            "error"};
  }
  return {"node",
          program_,
          "--blobHost",
          "127.0.0.1",
          "--blobPort",
          port,
          "--location",
          objects,
          "--silent",
          "--skipApiVersionCheck",
          "--disableTelemetry"};
}

bool ObjectEmulator::Answers() const {
  const int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = LoopbackAddress(port_);
  const bool answers =
      connect(handle, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(handle);
  return answers;
}

void ObjectEmulator::WriteCredentials(const std::string& secret) {
  EXPECT_TRUE(WriteFileDurably(folder_ / "credentials",
                               absl::StrCat("[default]\naws_access_key_id=", kKey,
                                            "\naws_secret_access_key=", secret, "\n"))
                  .ok());
  EXPECT_TRUE(WriteFileDurably(folder_ / "account_key", AccountKey(secret) + "\n").ok());
}

void ObjectEmulator::SpoilCredentials() { WriteCredentials("another"); }

RemoteAccess ObjectEmulator::Access() const {
  RemoteAccess access;
  const std::string endpoint = absl::StrCat("http://127.0.0.1:", relay_ ? relay_->port() : port_);
  if (scheme_ == "s3") {
    access.s3_endpoint = endpoint;
    access.s3_credentials_file = folder_ / "credentials";
  } else if (scheme_ == "gs") {
    access.gcs_endpoint = endpoint;
    access.gcs_anonymous = true;  // it asks for none
  } else {
    access.azure_endpoint = endpoint;
    access.azure_account = kAccount;
    access.azure_account_key_file = folder_ / "account_key";
  }
  return access;
}

std::vector<std::string> ObjectEmulator::Flags() const {
  const RemoteAccess access = Access();
  if (scheme_ == "s3") {
    return {"--s3_endpoint=" + access.s3_endpoint,
            "--s3_credentials_file=" + access.s3_credentials_file};
  }
  if (scheme_ == "gs") return {"--gcs_endpoint=" + access.gcs_endpoint, "--gcs_anonymous"};
  return {"--azure_endpoint=" + access.azure_endpoint, "--azure_account=" + access.azure_account,
          "--azure_account_key_file=" + access.azure_account_key_file};
}

void ObjectEmulator::Put(const std::string& key, const std::string& content) {
  const auto stream = file_system_->OpenOutputStream(absl::StrCat(kBucket, "/", key));
  Expect(stream.status());
  if (!stream.ok()) return;
  Expect((*stream)->Write(content.data(), static_cast<int64_t>(content.size())));
  Expect((*stream)->Close());
}

void ObjectEmulator::MakeFolder(const std::string& key) {
  Expect(file_system_->CreateDir(absl::StrCat(kBucket, "/", key), /*recursive=*/true));
}

std::string ObjectEmulator::Get(const std::string& key) {
  const auto file = file_system_->OpenInputFile(absl::StrCat(kBucket, "/", key));
  if (!file.ok()) return "ERROR: " + file.status().ToString();
  const int64_t size = (*file)->GetSize().ValueOr(0);
  if (size == 0) return "";  // some servers know no part of nothing
  const auto bytes = (*file)->ReadAt(0, size);
  return bytes.ok() ? (*bytes)->ToString() : "ERROR: " + bytes.status().ToString();
}

std::vector<std::string> ObjectEmulator::Keys() {
  arrow::fs::FileSelector selector;
  selector.base_dir = kBucket;
  selector.recursive = true;
  const auto infos = file_system_->GetFileInfo(selector);
  Expect(infos.status());
  std::vector<std::string> keys;
  if (!infos.ok()) return keys;
  for (const arrow::fs::FileInfo& info : *infos) {
    if (info.IsFile()) keys.push_back(info.path().substr(sizeof(kBucket)));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

void ObjectEmulator::Delete(const std::string& key) {
  Expect(file_system_->DeleteFile(absl::StrCat(kBucket, "/", key)));
}

}  // namespace stockpot
