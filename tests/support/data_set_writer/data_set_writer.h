// Writes data sets in the formats that people have them in, so that tests need no Python: tar by
// hand, Parquet with Arrow's writer as Hugging Face's datasets lays it out, NumPy's files by hand.
// Ends the test program when a file cannot be written. Thread safety: the functions are
// thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_DATA_SET_WRITER_DATA_SET_WRITER_H_
#define STOCKPOT_TESTS_SUPPORT_DATA_SET_WRITER_DATA_SET_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace stockpot {

// Name and content.
using NamedBytes = std::vector<std::pair<std::string, std::string>>;

void WriteBytes(const std::string& path, const std::string& bytes);

// An 8-bit grey PNG.
std::string EncodeGreyPng(const std::vector<uint8_t>& pixels, int height, int width);

// ---- tar ----
// One header and its content, padded. `type`: '0' a file, '5' a folder, 'x' a pax header, …
std::string TarEntry(const std::string& name, const std::string& content, char type = '0');
std::string TarEnd();
std::string Tar(const NamedBytes& members);

// ---- NumPy ----
// `descr` as NumPy's: "<f4"; `shape` as Python's: "(3, 4)".
std::string Npy(const std::string& descr, const std::string& shape, const std::string& bytes);
// A zip archive of stored entries, as numpy.savez writes it but for its zip64 fields.
std::string StoredZip(const NamedBytes& entries);

// ---- Parquet ----
struct ParquetText {
  std::string name;
  std::vector<std::string> rows;
};
struct ParquetImages {
  std::string name;
  std::vector<std::string> rows;  // encoded; empty: null
  bool as_struct = true;          // {bytes, path}
};
struct ParquetNumbers {
  std::string name;
  std::vector<int64_t> rows;
};
struct ParquetLists {
  std::string name;
  std::vector<std::vector<float>> rows;
  bool fixed_size = false;
};
struct ParquetTokens {
  std::string name;
  std::vector<std::vector<int64_t>> rows;
};
struct ParquetTable {
  std::vector<ParquetImages> images = {};
  std::vector<ParquetNumbers> numbers = {};
  std::vector<ParquetText> texts = {};
  std::vector<ParquetLists> lists = {};
  std::vector<ParquetTokens> tokens = {};
  std::string huggingface = {};  // the value of that metadata key; "": none
  int64_t rows_per_group = 1 << 20;
};
void WriteParquet(const std::string& path, const ParquetTable& table);
// The same columns, but for images, a line of JSON for each row.
std::string JsonLinesOf(const ParquetTable& table);
// The metadata of a ClassLabel column `label` and an Image column `image`.
std::string HuggingFaceFeatures(const std::vector<std::string>& class_names);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_DATA_SET_WRITER_DATA_SET_WRITER_H_
