// Which folders' sizes are metrics. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_MEASURED_FOLDERS_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_MEASURED_FOLDERS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace stockpot {

inline constexpr char kFactCache[] = "facts";

struct MeasuredFolders {
  struct Cache {
    std::string name;    // label
    std::string folder;  // may be missing: 0 bytes
    std::string prefix;  // of the names of its files
    bool whole = false;  // with the folders below it
  };
  std::string data_folder;  // "": nothing is measured
  std::vector<Cache> caches;
  absl::Duration every = absl::Seconds(30);  // the sizes of caches
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_MEASURED_FOLDERS_H_
