// Images that are files of their own, below one folder. Thread-safe: immutable.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_FILE_IMAGES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_FILE_IMAGES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/worker/dataset/image_source.h"

namespace stockpot {

struct ImageFile {
  std::string name;  // relative to the folder: "cat/0001.jpg"
  int64_t label = 0;
  uint64_t byte_count = 0;
  int64_t changed_ns = 0;  // time of last change of content or inode, in ns since 1970
  std::string path = "";   // where it is; "": `name` below the folder
};

struct FileImages {
  std::string folder;            // without symbolic links
  std::vector<ImageFile> files;  // in the order of the examples; their labels are in `labels`
  RawLabels labels;
  std::vector<double> weights;  // as ImageSource has them
};

// `list_again` makes the same of what is there now, to tell whether it changed.
std::shared_ptr<const ImageSource> MakeFileImages(
    FileImages images, uint64_t max_file_bytes,
    std::function<absl::StatusOr<FileImages>()> list_again);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_FILE_IMAGES_H_
