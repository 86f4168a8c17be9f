// The flags about files on other machines, which stockpotd and stockpot-worker have in common:
// stockpotd checks them and hands them on to its workers, who read the files. Secrets are in files
// that flags name, never in flags. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_MAIN_REMOTE_FLAGS_H_
#define STOCKPOT_SERVER_MAIN_REMOTE_FLAGS_H_

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "server/storage/remote_files.h"

namespace stockpot {

struct RemoteFlags {
  RemoteAccess access;  // its allowed_architecture_prefixes is a flag of the program's own
  uint64_t max_download_bytes = RemoteFiles::Options().max_bytes;
};

void AddRemoteFlags(CLI::App* app, RemoteFlags* flags);

// As a command line: those that are not as by default.
std::vector<std::string> ToArguments(const RemoteFlags& flags);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_REMOTE_FLAGS_H_
