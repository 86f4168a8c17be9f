// The half of numpy_file.h that parses one .npy file.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checked_shape.h"
#include "server/worker/dataset/numpy_file.h"

namespace stockpot {
namespace {

constexpr absl::string_view kNumpyMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = 64 << 10;
constexpr size_t kMaxDimensions = 16;

absl::Status BadHeader(absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat("its header ", message));
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  explicit HeaderParser(absl::string_view text) : text_(text) {}

  absl::StatusOr<Header> Parse() {
    Header header;
    bool descr = false, order = false, shape = false;
    if (!Take("{")) return BadHeader("is no dictionary");
    while (!Take("}")) {
      std::string key;
      RETURN_IF_ERROR(ReadText(&key));
      if (!Take(":")) return BadHeader("has no value for a key");
      bool* const seen = key == "descr"           ? &descr
                         : key == "fortran_order" ? &order
                         : key == "shape"         ? &shape
                                                  : nullptr;
      if (seen == nullptr || std::exchange(*seen, true)) {
        return BadHeader("has a key that is unknown or comes twice");
      }
      RETURN_IF_ERROR(seen == &descr   ? ReadDescr(&header.descr)
                      : seen == &order ? ReadFlag(&header.fortran_order)
                                       : ReadShape(&header.shape));
      if (Take(",")) continue;
      if (!Take("}")) return BadHeader("is damaged");
      break;
    }
    if (!descr || !order || !shape) return BadHeader("lacks descr, fortran_order or shape");
    if (!absl::StripAsciiWhitespace(text_).empty()) return BadHeader("goes on behind its end");
    return header;
  }

 private:
  bool Take(absl::string_view token) {
    text_ = absl::StripLeadingAsciiWhitespace(text_);
    return absl::ConsumePrefix(&text_, token);
  }

  absl::Status ReadText(std::string* text) {
    const bool quoted = Take("'");
    const size_t end = text_.find('\'');
    if (!quoted || end == absl::string_view::npos) return BadHeader("has no text where it should");
    *text = std::string(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    if (text->find('\\') != std::string::npos) return BadHeader("has an escape");
    return absl::OkStatus();
  }

  absl::Status ReadDescr(std::string* descr) {
    if (Take("[")) return absl::InvalidArgumentError("structured arrays are not read");
    return ReadText(descr);
  }

  absl::Status ReadFlag(bool* flag) {
    *flag = Take("True");
    return *flag || Take("False") ? absl::OkStatus() : BadHeader("has no order");
  }

  absl::Status ReadShape(std::vector<int64_t>* shape) {
    if (!Take("(")) return BadHeader("has no shape");
    while (!Take(")")) {
      size_t digits = 0;
      text_ = absl::StripLeadingAsciiWhitespace(text_);
      while (digits < text_.size() && absl::ascii_isdigit(text_[digits])) ++digits;
      int64_t size = 0;
      if (!absl::SimpleAtoi(text_.substr(0, digits), &size) || shape->size() == kMaxDimensions) {
        return BadHeader("has a damaged shape");
      }
      shape->push_back(size);
      text_.remove_prefix(digits);
      if (Take(",")) continue;
      if (!Take(")")) return BadHeader("has a damaged shape");
      break;
    }
    return absl::OkStatus();
  }

  absl::string_view text_;
};

absl::StatusOr<DType> TypeOf(absl::string_view descr) {
  if (descr.size() == 3) {
    const absl::string_view type = descr.substr(1);
    constexpr std::pair<absl::string_view, DType> kTypes[] = {
        {"b1", DType::kBool},    {"u1", DType::kUint8},   {"i1", DType::kInt8},
        {"u2", DType::kUint16},  {"i2", DType::kInt16},   {"u4", DType::kUint32},
        {"i4", DType::kInt32},   {"u8", DType::kUint64},  {"i8", DType::kInt64},
        {"f2", DType::kFloat16}, {"f4", DType::kFloat32}, {"f8", DType::kFloat64}};
    for (const auto& [name, dtype] : kTypes) {
      if (type != name) continue;
      if (descr[0] == '<' || descr[0] == '=' || (descr[0] == '|' && DTypeSize(dtype) == 1)) {
        return dtype;
      }
      if (descr[0] == '>' && DTypeSize(dtype) > 1) {
        return absl::InvalidArgumentError("big-endian numbers are not read");
      }
    }
  }
  if (absl::StrContains(descr, 'O')) {
    return absl::InvalidArgumentError(
        "an array of objects is a pickle, which is not read: store numbers");
  }
  return absl::InvalidArgumentError(absl::StrCat("numbers of type '", descr, "' are not read"));
}

}  // namespace

absl::StatusOr<NumpyArray> ParseNumpy(absl::string_view file) {
  if (!absl::StartsWith(file, kNumpyMagic)) {
    return absl::InvalidArgumentError("not a .npy file");
  }
  if (file.size() < 12) return absl::DataLossError("the file ends in its header");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(file[i])); };
  const size_t major = byte(6);
  if (major < 1 || major > 3 || byte(7) != 0) return BadHeader("has an unknown version");
  const size_t begin = major == 1 ? 10 : 12;
  size_t size = byte(8) | byte(9) << 8;
  if (major > 1) size |= byte(10) << 16 | byte(11) << 24;
  if (size > kMaxHeader) return BadHeader("is too large");
  if (size > file.size() - begin) return absl::DataLossError("the file ends in its header");
  ASSIGN_OR_RETURN(Header header, HeaderParser(file.substr(begin, size)).Parse());

  NumpyArray array;
  ASSIGN_OR_RETURN(array.info.dtype, TypeOf(header.descr));
  if (header.fortran_order && header.shape.size() > 1) {
    return absl::InvalidArgumentError(
        "an array in Fortran order is not read: store numpy.ascontiguousarray of it");
  }
  RETURN_IF_ERROR(CheckShape(array.info.dtype, header.shape, {}));
  array.info.shape = std::move(header.shape);
  array.bytes = file.substr(begin + size);
  const size_t expected = array.info.byte_count();
  if (array.bytes.size() < expected) {
    return absl::DataLossError(
        absl::StrCat("its header asks for ", expected, " bytes, there are ", array.bytes.size()));
  }
  if (array.bytes.size() > expected) return BadHeader("leaves bytes over");
  return array;
}

}  // namespace stockpot
