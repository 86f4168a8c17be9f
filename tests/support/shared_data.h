// Where the shared sweep lies, for tests that use it when it is there and skip when it is not.
//
//   const std::string sweep = SharedData();
//   if (sweep.empty()) GTEST_SKIP() << kNoSharedData;
//
// Thread safety: the function is thread-safe as long as nobody changes the environment.
#ifndef STOCKPOT_TESTS_SUPPORT_SHARED_DATA_H_
#define STOCKPOT_TESTS_SUPPORT_SHARED_DATA_H_

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace stockpot {

inline constexpr char kNoSharedData[] =
    "no shared sweep: set STOCKPOT_SHARED to the folder that holds data/cifar10-gn";

// The folder "…/data/cifar10-gn" below $STOCKPOT_SHARED, else below ../shared beside the source
// tree (ctest runs tests in the source tree); "" when there is none.
inline std::string SharedData() {
  const char* from_environment = std::getenv("STOCKPOT_SHARED");
  for (const char* root : {from_environment, "../shared"}) {
    if (root == nullptr || *root == '\0') continue;
    const std::filesystem::path folder = std::filesystem::path(root) / "data" / "cifar10-gn";
    std::error_code ignored;
    if (std::filesystem::is_directory(folder, ignored)) return folder.string();
  }
  return "";
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_SHARED_DATA_H_
