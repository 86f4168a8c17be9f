// One Parquet file, read a row group at a time. The only code that sees Arrow.
//
// Columns are told apart by what a data set can be made of: encoded bytes (binary, or a struct with
// a binary `bytes`, as Hugging Face stores images), text, numbers (also lists, nested at most four
// deep, where the outermost may differ in length; bool has a byte each), and others, which are not
// read.
//
// Source: the Parquet format by Arrow's reader; https://huggingface.co/docs/datasets (features).
// Hostile files: what a row group declares is held against the limits before it is read, Arrow's
// memory is capped, arrays are validated in full, nulls are errors.
// Thread safety: immutable; but reading from one file is for one thread at a time.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_PARQUET_FILE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_PARQUET_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

struct ParquetColumn {
  enum class Kind { kBytes, kText, kNumbers, kOther };
  std::string name;
  Kind kind = Kind::kOther;
  DType dtype = DType::kUint8;  // of kNumbers: of an element

  friend bool operator==(const ParquetColumn& a, const ParquetColumn& b) = default;
};

class ParquetFile {
 public:
  // Views of a column's values in a row group, and what keeps them.
  struct Values {
    std::vector<absl::string_view> rows;
    std::shared_ptr<const void> owner;
  };
  struct Numbers {
    // Of a row; empty: a number. [kAnyLength, …] of lists whose type does not say how long they
    // are.
    std::vector<int64_t> shape;
    std::vector<int64_t> lengths;  // of such lists: of each row, at least 1
    std::string bytes;             // of all rows, contiguous
  };

  // Errors of all functions: INVALID_ARGUMENT, reason DATA_SET_INVALID (not Parquet, damaged,
  // over the limits, a null: its row is named); DATA_SET_NOT_FOUND.
  static absl::StatusOr<std::unique_ptr<const ParquetFile>> Open(const std::string& path,
                                                                 const DataSetLimits& limits);
  virtual ~ParquetFile() = default;

  virtual const std::vector<ParquetColumn>& columns() const = 0;
  virtual const std::vector<int64_t>& group_rows() const = 0;  // rows of each row group
  // What Hugging Face's datasets wrote about the columns (JSON); "" when nothing.
  virtual const std::string& huggingface() const = 0;

  virtual absl::StatusOr<Values> ReadValues(size_t group, size_t column) const = 0;  // not kNumbers
  virtual absl::StatusOr<Numbers> ReadNumbers(size_t group, size_t column) const = 0;  // kNumbers
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_PARQUET_FILE_H_
