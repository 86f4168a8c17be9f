#include "client/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace stockpot::cli {

void Table::AddRow(std::vector<std::string> cells, std::vector<bool> bold) {
  widths_.resize(std::max(widths_.size(), cells.size()));
  for (size_t i = 0; i < cells.size(); ++i) {
    cells[i] = Printable(cells[i]);
    widths_[i] = std::max(widths_[i], DisplayWidth(cells[i]));
  }
  bold.resize(cells.size());
  rows_.push_back({std::move(cells), std::move(bold)});
}

std::string Table::Render(const Style& style) const {
  std::string text;
  for (size_t r = 0; r < rows_.size(); ++r) {
    const Row& row = rows_[r];
    std::string line;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const bool last = i + 1 == row.cells.size();
      const std::string cell = last ? row.cells[i] : PadRight(row.cells[i], widths_[i]);
      absl::StrAppend(&line, row.bold[i] ? style.Bold(cell) : cell, last ? "" : "  ");
    }
    absl::StripTrailingAsciiWhitespace(&line);
    absl::StrAppend(&text, r == 0 ? style.Dim(line) : line, "\n");
  }
  return text;
}

}  // namespace stockpot::cli
