// Guesses what a path holds, for `stockpot inspect`. A guess by name and, where the file can be
// read here, by a look at its first or last bytes; nothing is parsed or trusted. Thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_SOURCE_KIND_H_
#define STOCKPOT_CLIENT_CLI_SOURCE_KIND_H_

#include <string>

namespace stockpot::cli {

enum class SourceKind { kCheckpoint, kArchitecture, kDataSet };

// A folder is a data set, unless it holds a model's files or an adapter; so are .parquet, .tar,
// .csv, .jsonl and .npz, and safetensors with a tensor named `labels`; a zip archive with code/ is
// an architecture; the rest are checkpoints.
SourceKind GuessSourceKind(const std::string& path);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_SOURCE_KIND_H_
