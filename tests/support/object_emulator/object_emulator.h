// Real servers of object stores, each over a folder of its own and on a free port: versitygw for
// s3://, fake-gcs-server for gs://, Azurite for abfs://. deploy/install-dependencies
// --object-store-tests brings them. A relay (faulty_relay.h) stands before each.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SUPPORT_OBJECT_EMULATOR_OBJECT_EMULATOR_H_
#define STOCKPOT_TESTS_SUPPORT_OBJECT_EMULATOR_OBJECT_EMULATOR_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "server/storage/remote_files.h"
#include "tests/support/faulty_relay/faulty_relay.h"
#include "tests/support/temporary_folder.h"

namespace arrow::fs {
class FileSystem;
}

namespace stockpot {

class ObjectEmulator {
 public:
  struct Kind {
    const char* scheme;   // as URIs have it
    const char* program;  // below the folder of dependencies
  };
  static constexpr Kind kKinds[] = {{"s3", "versitygw/versitygw"},
                                    {"gs", "fake-gcs-server/fake-gcs-server"},
                                    {"abfs", "azurite/node_modules/azurite/dist/src/blob/main.js"}};

  // Whether its program is there. `Skipped` says what to do where it is not.
  static bool IsInstalled(const Kind& kind);
  static std::string Skipped(const Kind& kind);

  // Starts it, with an empty bucket "stockpot-test". Must be installed.
  explicit ObjectEmulator(const Kind& kind);
  ~ObjectEmulator();
  ObjectEmulator(const ObjectEmulator&) = delete;
  ObjectEmulator& operator=(const ObjectEmulator&) = delete;

  const std::string& scheme() const { return scheme_; }
  // "SCHEME://stockpot-test/".
  std::string Root() const { return scheme_ + "://stockpot-test/"; }
  FaultyRelay& relay() { return *relay_; }

  // How to get at it by the relay, with its credentials. Nothing is allowed yet.
  RemoteAccess Access() const;
  // The same as flags of stockpotd.
  std::vector<std::string> Flags() const;
  // Makes the credentials' files hold wrong ones.
  void SpoilCredentials();

  // An object of the bucket, in place of one of the same key.
  void Put(const std::string& key, const std::string& content);
  // What consoles and other tools leave where somebody makes a folder: an object without content.
  void MakeFolder(const std::string& key);
  // What an object holds, or "ERROR: …".
  std::string Get(const std::string& key);
  // Keys, in order.
  std::vector<std::string> Keys();
  void Delete(const std::string& key);

 private:
  std::vector<std::string> CommandLine() const;
  void WriteCredentials(const std::string& secret);
  bool Answers() const;

  const std::string scheme_, program_;
  TemporaryFolder folder_;
  int port_ = 0;
  pid_t process_id_ = -1;
  std::unique_ptr<FaultyRelay> relay_;
  std::shared_ptr<arrow::fs::FileSystem> file_system_;  // of the test itself, past the relay
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_OBJECT_EMULATOR_OBJECT_EMULATOR_H_
