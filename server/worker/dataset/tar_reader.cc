#include "server/worker/dataset/tar_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/known_content.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kLargestSize = uint64_t{1} << 62;

bool IsZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

// A field up to its first NUL.
absl::string_view Text(absl::string_view block, size_t offset, size_t size) {
  const absl::string_view field = block.substr(offset, size);
  return field.substr(0, field.find('\0'));
}

// Octal digits, with spaces before and a space or NUL behind; GNU writes large ones in base 256,
// marked by the first bit. False for anything else.
bool ReadNumber(absl::string_view field, uint64_t* number) {
  *number = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    if (static_cast<unsigned char>(field[0]) != 0x80) return false;  // negative, or beyond 64 bits
    for (const char c : field.substr(1)) {
      if (*number >= kLargestSize >> 8) return false;
      *number = *number << 8 | static_cast<unsigned char>(c);
    }
    return true;
  }
  size_t i = 0;
  while (i < field.size() && field[i] == ' ') ++i;
  const size_t begin = i;
  for (; i < field.size() && field[i] >= '0' && field[i] <= '7'; ++i) {
    *number = *number << 3 | static_cast<uint64_t>(field[i] - '0');  // 12 digits: at most 36 bits
  }
  for (size_t rest = i; rest < field.size(); ++rest) {
    if (field[rest] != ' ' && field[rest] != '\0') return false;
  }
  return i > begin;
}

bool SumIsRight(absl::string_view block) {
  constexpr size_t kSumAt = 148, kSumSize = 8;
  uint64_t stored = 0, sum = 0;
  if (!ReadNumber(block.substr(kSumAt, kSumSize), &stored)) return false;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool in_sum = i >= kSumAt && i < kSumAt + kSumSize;
    sum += in_sum ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return sum == stored;
}

class Lister {
 public:
  Lister(absl::string_view bytes, const TarLimits& limits) : bytes_(bytes), limits_(limits) {}

  absl::StatusOr<std::vector<TarMember>> List() {
    // Before its length is looked at: they may be shorter than a header.
    const std::string known = ButKnownContent(bytes_.substr(0, kBlock));
    const bool is_tar = bytes_.size() >= kBlock && bytes_.substr(257, 5) == "ustar";
    if (!is_tar && !known.empty()) return Bad(absl::StrCat("not a tar file", known));
    while (true) {
      if (bytes_.size() - at_ < kBlock) {
        return absl::DataLossError(
            absl::StrCat("the file ends at ", bytes_.size(), " without a mark of its end"));
      }
      const absl::string_view block = bytes_.substr(at_, kBlock);
      if (IsZero(block)) break;
      RETURN_IF_ERROR(ReadMember(block));
    }
    if (bytes_.size() - at_ < 2 * kBlock) return absl::DataLossError("its end is cut off");
    if (!IsZero(bytes_.substr(at_))) {
      return absl::InvalidArgumentError(
          absl::StrCat("something follows the mark of the end at ", at_));
    }
    if (has_next_) return absl::InvalidArgumentError("the last header describes no member");
    return std::move(members_);
  }

 private:
  absl::Status Bad(absl::string_view message) const {
    return absl::InvalidArgumentError(absl::StrCat("header at ", at_, ": ", message));
  }

  absl::Status ReadMember(absl::string_view block) {
    if (block.substr(257, 5) != "ustar") {
      return Bad(at_ == 0 ? "not a tar file" : "no tar header");
    }
    if (!SumIsRight(block)) return Bad("wrong checksum");
    uint64_t size = 0;
    if (!ReadNumber(block.substr(124, 12), &size)) return Bad("a size that is no number");
    const char type = block[156];
    const bool describes_next = type == 'x' || type == 'L' || type == 'K' || type == 'g';
    if (!describes_next && next_size_ != kNone) size = next_size_;
    const uint64_t begin = at_ + kBlock;
    if (size > bytes_.size() - begin) {
      return absl::DataLossError(absl::StrCat("header at ", at_, ": a member of ", size,
                                              " bytes, and the file ends before"));
    }
    if (describes_next) {
      RETURN_IF_ERROR(ReadDescription(type, bytes_.substr(begin, size)));
    } else {
      RETURN_IF_ERROR(AddMember(block, type, begin, size));
    }
    const uint64_t padded = (size + kBlock - 1) / kBlock * kBlock;
    at_ = begin + std::min<uint64_t>(padded, bytes_.size() - begin);
    return absl::OkStatus();
  }

  absl::Status ReadDescription(char type, absl::string_view content) {
    if (content.size() > limits_.max_header_bytes) return Bad("a long name or header is too large");
    if (type == 'K') return absl::OkStatus();  // the target of a link, which is refused
    if (type == 'L') {
      next_name_ = std::string(content.substr(0, content.find('\0')));
      has_next_ = true;
      return absl::OkStatus();
    }
    return ReadPax(content, type == 'g');
  }

  // Records "LENGTH KEY=VALUE\n".
  absl::Status ReadPax(absl::string_view content, bool global) {
    while (!content.empty()) {
      const size_t space = content.find(' ');
      uint64_t length = 0;
      if (space == absl::string_view::npos || space > 10 ||
          !absl::SimpleAtoi(content.substr(0, space), &length) || length > content.size() ||
          length < space + 3 || content[length - 1] != '\n') {
        return Bad("a damaged pax header");
      }
      const absl::string_view record = content.substr(space + 1, length - space - 2);
      content.remove_prefix(length);
      const size_t equals = record.find('=');
      if (equals == absl::string_view::npos) return Bad("a damaged pax header");
      RETURN_IF_ERROR(TakePax(record.substr(0, equals), record.substr(equals + 1), global));
    }
    if (!global) has_next_ = true;
    return absl::OkStatus();
  }

  absl::Status TakePax(absl::string_view key, absl::string_view value, bool global) {
    if (absl::StartsWith(key, "GNU.sparse")) return Bad("sparse files are not read");
    if (key != "path" && key != "size") return absl::OkStatus();
    if (global) return Bad(absl::StrCat("a global pax header with a ", key));
    if (key == "path") {
      next_name_ = std::string(value);
      return absl::OkStatus();
    }
    if (!absl::SimpleAtoi(value, &next_size_) || next_size_ >= kLargestSize) {
      return Bad("a size that is no number");
    }
    return absl::OkStatus();
  }

  std::string NameIn(absl::string_view block) const {
    const absl::string_view name = Text(block, 0, 100);
    // GNU's format has other things where ustar has a prefix.
    const bool is_ustar = block[262] == '\0';
    const absl::string_view prefix = is_ustar ? Text(block, 345, 155) : "";
    return prefix.empty() ? std::string(name) : absl::StrCat(prefix, "/", name);
  }

  absl::Status AddMember(absl::string_view block, char type, uint64_t begin, uint64_t size) {
    std::string name = next_name_.empty() ? NameIn(block) : std::move(next_name_);
    next_name_.clear();
    next_size_ = kNone;
    has_next_ = false;
    if (type == '5') return absl::OkStatus();
    if (name.empty() || name.find('\0') != std::string::npos) return Bad("a member without a name");
    if (type != '0' && type != '\0') {
      return Bad(absl::StrCat("'", name, "' is a link or another special file"));
    }
    if (members_.size() >= limits_.max_members) {
      return Bad(absl::StrCat("more than ", limits_.max_members, " members"));
    }
    members_.push_back({std::move(name), begin, size});
    return absl::OkStatus();
  }

  static constexpr uint64_t kNone = ~uint64_t{0};

  const absl::string_view bytes_;
  const TarLimits& limits_;
  uint64_t at_ = 0;
  // What the headers before a member say of it.
  std::string next_name_;
  uint64_t next_size_ = kNone;
  bool has_next_ = false;
  std::vector<TarMember> members_;
};

}  // namespace

absl::StatusOr<std::vector<TarMember>> ListTar(absl::string_view bytes, const TarLimits& limits) {
  return Lister(bytes, limits).List();
}

}  // namespace stockpot
