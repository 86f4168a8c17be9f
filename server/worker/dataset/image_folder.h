// A folder of CLASS/…/image files as an ImageSource, without opening any.
//
// Source: torchvision's ImageFolder. Labels are the class folders in byte order; files of a class
// are walked recursively and come in byte order of their folder, then of their name. Unlike there,
// hidden files and folders are skipped, and images of a kind that is not read here (.bmp, …) are
// refused, because leaving them out would silently measure something else.
//
// A symbolic link to a folder, or to a file outside the data set, is refused. (The data set's
// folder itself may be a link.) Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_FOLDER_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_FOLDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/file_images.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {

struct ImageFolder {
  std::string path;                      // without symbolic links
  std::vector<std::string> class_names;  // in label order
  std::vector<ImageFile> files;          // in the order of the examples
};

// `class_names`: label order; every class folder must be among them, and a name without a folder is
// a class without examples. Empty: the folders' names in byte order.
// Errors: NOT_FOUND (DATA_SET_NOT_FOUND); INVALID_ARGUMENT: no class folder (DATA_SET_EMPTY), a
// class without images (DATA_SET_EMPTY, names the class), a file over the limits
// (IMAGE_UNREADABLE), else DATA_SET_INVALID.
absl::StatusOr<ImageFolder> ListImageFolder(const std::string& path,
                                            const std::vector<std::string>& class_names,
                                            const DataSetLimits& limits);

// The examples of a folder. Errors: of ListImageFolder.
absl::StatusOr<std::shared_ptr<const ImageSource>> OpenImageFolder(const DataSetSource& source,
                                                                   const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_FOLDER_H_
