#include "server/base/fail_point.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

namespace stockpot {

FailPoints FailPoints::FromEnvironment() {
  const char* point = std::getenv("STOCKPOT_FAIL_POINT");
  const char* file = std::getenv("STOCKPOT_FAIL_POINT_FILE");
  if (point == nullptr || file == nullptr) return FailPoints();
  return FailPoints(point, file);
}

void FailPoints::Fire() const {
  // Whoever makes the file is the one that fires.
  const int fd = open(file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!write(fd, point_.data(), point_.size());
  close(fd);
  kill(getpid(), SIGKILL);
  pause();  // nothing of this thread happens after the point
}

}  // namespace stockpot
