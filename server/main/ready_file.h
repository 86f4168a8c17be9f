// A file that says to a probe that the worker is connected: it is there, and was written within the
// last seconds, as long as that is so. No port, and nothing to authenticate.
//
//   test -n "$(find /tmp/ready -newermt -30seconds)"
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_MAIN_READY_FILE_H_
#define STOCKPOT_SERVER_MAIN_READY_FILE_H_

#include <string>

#include "server/base/log.h"

namespace stockpot {

class ReadyFile {
 public:
  // `path` "": no file, the methods do nothing. What an earlier process left there is removed.
  // `log` must outlive it.
  ReadyFile(std::string path, Log* log);
  ~ReadyFile();
  ReadyFile(const ReadyFile&) = delete;
  ReadyFile& operator=(const ReadyFile&) = delete;

  // Connected, as of now.
  void Touch();
  void Remove();

 private:
  const std::string path_;
  Log* const log_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_READY_FILE_H_
