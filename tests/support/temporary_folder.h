// A folder of a test's own, removed with all that is in it at the end. Thread safety: immutable.
#ifndef STOCKPOT_TESTS_SUPPORT_TEMPORARY_FOLDER_H_
#define STOCKPOT_TESTS_SUPPORT_TEMPORARY_FOLDER_H_

#include <cstdlib>
#include <filesystem>
#include <string>

namespace stockpot {

class TemporaryFolder {
 public:
  // Below `parent`; "": where temporary files go.
  explicit TemporaryFolder(const std::filesystem::path& parent = "") {
    const auto above = parent.empty() ? std::filesystem::temp_directory_path() : parent;
    std::string name = (above / "stockpot-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = std::filesystem::canonical(name).string();
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  // The path of `name` in it.
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_TEMPORARY_FOLDER_H_
