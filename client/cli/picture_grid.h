// Pictures that a server gave, side by side in one. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_PICTURE_GRID_H_
#define STOCKPOT_CLIENT_CLI_PICTURE_GRID_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stockpot::cli {

struct PictureGrid {
  std::string png;  // 8-bit RGB
  int columns = 0;  // the pictures row by row, from the left
};

// `pngs`: at least one; each has a cell as large as the largest, two white pixels from the next.
// Errors: INVALID_ARGUMENT what is no PNG, or is larger than a server's pictures are.
absl::StatusOr<PictureGrid> MakePictureGrid(const std::vector<std::string>& pngs);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PICTURE_GRID_H_
