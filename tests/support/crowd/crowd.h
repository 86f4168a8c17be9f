// Many clients at once: jobs that are made as fast as the server takes them, watchers that each
// follow one job after the other to its end, and one who asks GetJob all the time.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_CROWD_CROWD_H_
#define STOCKPOT_TESTS_SUPPORT_CROWD_CROWD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/server_process/server_process.h"

namespace stockpot {

struct CrowdOptions {
  int jobs = 50;
  int watchers = 50;
  int makers = 4;  // clients that make jobs side by side
};

struct CrowdFigures {
  int succeeded = 0;        // jobs whose watcher saw them end well
  int lost = 0;             // jobs that ended otherwise, or that nobody finds
  int gaps = 0;             // events that did not follow the one before
  double seconds = 0;       // from the first CreateJob to the last end
  int most_unfinished = 0;  // jobs made whose watcher had not seen the end, at one time
  int64_t memory_kib_before = 0, memory_kib_peak = 0;  // of stockpotd: resident
  std::vector<double> get_job_milliseconds;            // while busy, sorted
};

CrowdFigures RunCrowd(ServerProcess& server, const v1::JobSpec& spec, const CrowdOptions& options);

// Of sorted values; 0.99: the 99th percentile.
double Quantile(const std::vector<double>& sorted, double fraction);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_CROWD_CROWD_H_
