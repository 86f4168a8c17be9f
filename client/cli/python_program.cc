#include "client/cli/python_program.h"

#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/string_view.h"
#include "client/cli/sibling_program.h"

namespace stockpot::cli {
namespace {

// As `-m stockpot`, but never from a folder of that name where the user happens to be.
constexpr char kScript[] = R"(
import sys
sys.path[:] = [path for path in sys.path if path]
try:
    from stockpot._program import main
except ImportError as error:
    print(f"error: {sys.executable} has no Stockpot: {error}\n"
          "  what to do: pip install 'client/python[report]' in Stockpot's source, into the Python that is python3 here",
          file=sys.stderr)
    sys.exit(5)
sys.exit(main())
)";

// A file without a name that begins with the text; negative: none.
int FileWith(absl::string_view text) {
  const int file = memfd_create("stockpot", MFD_CLOEXEC);
  while (file >= 0 && !text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count <= 0) {
      close(file);
      return -1;
    }
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (file >= 0) lseek(file, 0, SEEK_SET);
  return file;
}

}  // namespace

absl::StatusOr<int> BecomePython(const std::vector<std::string>& arguments,
                                 const std::string& input) {
  const int file = FileWith(input);
  if (file < 0 || dup2(file, STDIN_FILENO) < 0) {
    return absl::InternalError("cannot hand the job to python3");
  }
  close(file);
  std::vector<std::string> words = {"python3", "-c", kScript};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return BecomeProgram("python3", words);
}

}  // namespace stockpot::cli
