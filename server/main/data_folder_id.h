// How a worker on another machine shows that it sees the server's data folder: the server writes a
// random text into artifacts/.folder_id at every start, and the worker says what it reads there. No
// job has such a name. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_MAIN_DATA_FOLDER_ID_H_
#define STOCKPOT_SERVER_MAIN_DATA_FOLDER_ID_H_

#include <string>

#include "absl/status/statusor.h"

namespace stockpot {

// A new id. artifacts/ must be there. Errors: of writing the file.
absl::StatusOr<std::string> MarkDataFolder(const std::string& data_folder);

// How the two compare its path: without what changes nothing, such as a last '/'.
std::string NormalFolder(const std::string& data_folder);

// "": there is none that could be read.
std::string ReadDataFolderId(const std::string& data_folder);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_DATA_FOLDER_ID_H_
