// Aligned columns of text. Thread safety: thread-compatible.
#ifndef STOCKPOT_CLIENT_CLI_TABLE_H_
#define STOCKPOT_CLIENT_CLI_TABLE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "client/cli/text.h"

namespace stockpot::cli {

class Table {
 public:
  // The first row is the heading.
  explicit Table(std::vector<std::string> heading) { AddRow(std::move(heading)); }
  // Cells are made printable. Bold cells are for a terminal only.
  void AddRow(std::vector<std::string> cells, std::vector<bool> bold = {});
  // Columns two spaces apart, no space at the ends of lines; the heading is dim on a terminal.
  std::string Render(const Style& style) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::vector<bool> bold;
  };
  std::vector<Row> rows_;
  std::vector<size_t> widths_;
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_TABLE_H_
