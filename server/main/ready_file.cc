#include "server/main/ready_file.h"

#include <unistd.h>

#include <fstream>
#include <utility>

namespace stockpot {

ReadyFile::ReadyFile(std::string path, Log* log) : path_(std::move(path)), log_(log) { Remove(); }

ReadyFile::~ReadyFile() { Remove(); }

void ReadyFile::Touch() {
  if (path_.empty()) return;
  std::ofstream file(path_, std::ios::trunc);
  if (!(file << "connected\n" << std::flush)) {
    log_->Warning("ready_file_not_written", {{"path", path_}});
  }
}

void ReadyFile::Remove() {
  if (!path_.empty()) unlink(path_.c_str());
}

}  // namespace stockpot
