// The files of a Parquet data set and what their columns are. Internal to parquet_source.h.
// Thread safety: immutable.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_PARQUET_SET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_PARQUET_SET_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/dataset/parquet_file.h"
#include "server/worker/dataset/source_files.h"

namespace stockpot {

class ParquetSet {
 public:
  // A row group of one of the files.
  struct Group {
    size_t file = 0;
    size_t index = 0;         // in the file
    int64_t row_in_file = 0;  // of its first row
    int64_t first_row = 0;    // of its first row, in the data set
    int64_t row_count = 0;    // never 0
  };

  // Errors: as OpenParquet.
  static absl::StatusOr<std::shared_ptr<const ParquetSet>> Open(std::vector<SourceFile> files,
                                                                const DataSetLimits& limits);

  const std::vector<ParquetColumn>& columns() const { return columns_; }
  const std::vector<Group>& groups() const { return groups_; }
  int64_t row_count() const { return row_count_; }
  const StampedFiles& files() const { return files_; }

  // DATA_SET_INVALID, naming what there is.
  absl::StatusOr<size_t> Find(const std::string& column) const;
  bool IsImageFeature(const std::string& column) const;
  // Of a ClassLabel; empty for others.
  std::vector<std::string> ClassNames(const std::string& column) const;
  // `asked`, or what spec.proto's label_tensor says is the default.
  absl::StatusOr<std::string> LabelColumn(const std::string& asked) const;

  // Opens the file each time. Errors name file and column.
  absl::StatusOr<ParquetFile::Values> ReadValues(const Group& group, size_t column) const;
  absl::StatusOr<ParquetFile::Numbers> ReadNumbers(const Group& group, size_t column) const;

  // "FILE: row 3".
  std::string NameOf(const Group& group, int64_t row_in_group) const;

 private:
  struct Feature {
    std::string type;
    std::vector<std::string> class_names;
  };

  ParquetSet(StampedFiles files, const DataSetLimits& limits)
      : files_(std::move(files)), limits_(limits) {}
  absl::Status AddFile(size_t file);
  template <typename Read>
  Read ReadColumn(const Group& group, size_t column,
                  Read (ParquetFile::*read)(size_t, size_t) const) const;
  absl::Status ReadFeatures(const std::string& huggingface);
  const std::string& name(const Group& group) const { return files_.files()[group.file].name; }

  const StampedFiles files_;
  const DataSetLimits limits_;
  std::vector<ParquetColumn> columns_;
  std::map<std::string, Feature> features_;
  std::vector<Group> groups_;
  int64_t row_count_ = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_PARQUET_SET_H_
