// The half of data_set_writer.h that writes Parquet.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/writer.h>

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tests/support/data_set_writer/data_set_writer.h"

namespace stockpot {
namespace {

void RequireOk(const arrow::Status& status) {
  if (status.ok()) return;
  std::cerr << "parquet_writer: " << status.ToString() << "\n";
  std::abort();
}

using Fields = std::vector<std::shared_ptr<arrow::Field>>;
using Arrays = std::vector<std::shared_ptr<arrow::Array>>;

std::shared_ptr<arrow::Array> Finish(arrow::ArrayBuilder& builder) {
  std::shared_ptr<arrow::Array> array;
  RequireOk(builder.Finish(&array));
  return array;
}

std::shared_ptr<arrow::Array> Binary(const std::vector<std::string>& rows) {
  arrow::BinaryBuilder builder;
  for (const std::string& row : rows) {
    RequireOk(row.empty() ? builder.AppendNull() : builder.Append(row));
  }
  return Finish(builder);
}

std::shared_ptr<arrow::Array> ImageStruct(const std::vector<std::string>& rows) {
  arrow::StringBuilder paths;
  for (size_t i = 0; i < rows.size(); ++i) RequireOk(paths.Append(std::to_string(i) + ".png"));
  return arrow::StructArray::Make(Arrays{Binary(rows), Finish(paths)},
                                  std::vector<std::string>{"bytes", "path"})
      .ValueOrDie();
}

std::shared_ptr<arrow::Array> Lists(const ParquetLists& column) {
  const auto values = std::make_shared<arrow::FloatBuilder>();
  const auto append = [&](auto& builder) {
    for (const std::vector<float>& row : column.rows) {
      RequireOk(builder.Append());
      RequireOk(values->AppendValues(row));
    }
    return Finish(builder);
  };
  if (column.fixed_size) {
    arrow::FixedSizeListBuilder builder(arrow::default_memory_pool(), values,
                                        static_cast<int32_t>(column.rows[0].size()));
    return append(builder);
  }
  arrow::ListBuilder builder(arrow::default_memory_pool(), values);
  return append(builder);
}

std::shared_ptr<arrow::Array> Tokens(const ParquetTokens& column) {
  const auto values = std::make_shared<arrow::Int64Builder>();
  arrow::ListBuilder builder(arrow::default_memory_pool(), values);
  for (const std::vector<int64_t>& row : column.rows) {
    RequireOk(builder.Append());
    RequireOk(values->AppendValues(row));
  }
  return Finish(builder);
}

}  // namespace

void WriteParquet(const std::string& path, const ParquetTable& table) {
  Fields fields;
  Arrays arrays;
  const auto add = [&](const std::string& name, const std::shared_ptr<arrow::Array>& array) {
    fields.push_back(arrow::field(name, array->type()));
    arrays.push_back(array);
  };
  for (const ParquetImages& column : table.images) {
    add(column.name, column.as_struct ? ImageStruct(column.rows) : Binary(column.rows));
  }
  for (const ParquetLists& column : table.lists) add(column.name, Lists(column));
  for (const ParquetTokens& column : table.tokens) add(column.name, Tokens(column));
  for (const ParquetNumbers& column : table.numbers) {
    arrow::Int64Builder builder;
    RequireOk(builder.AppendValues(column.rows));
    add(column.name, Finish(builder));
  }
  for (const ParquetText& column : table.texts) {
    arrow::StringBuilder builder;
    RequireOk(builder.AppendValues(column.rows));
    add(column.name, Finish(builder));
  }
  std::shared_ptr<arrow::KeyValueMetadata> metadata;
  if (!table.huggingface.empty()) {
    metadata = arrow::key_value_metadata({"huggingface"}, {table.huggingface});
  }
  const auto made = arrow::Table::Make(arrow::schema(fields, metadata), arrays);
  const auto out = arrow::io::FileOutputStream::Open(path).ValueOrDie();
  // As datasets writes it: with Arrow's own schema beside Parquet's.
  const auto properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  RequireOk(parquet::arrow::WriteTable(*made, arrow::default_memory_pool(), out,
                                       table.rows_per_group, parquet::default_writer_properties(),
                                       properties));
  RequireOk(out->Close());
}

std::string JsonLinesOf(const ParquetTable& table) {
  std::vector<nlohmann::json> lines;
  const auto add = [&](const auto& columns) {
    for (const auto& column : columns) {
      lines.resize(column.rows.size());
      for (size_t i = 0; i < lines.size(); ++i) lines[i][column.name] = column.rows[i];
    }
  };
  add(table.numbers);
  add(table.texts);
  add(table.lists);
  add(table.tokens);
  std::string text;
  for (const nlohmann::json& line : lines) text += line.dump() + "\n";
  return text;
}

std::string HuggingFaceFeatures(const std::vector<std::string>& class_names) {
  const nlohmann::json json = {
      {"info",
       {{"features",
         {{"image", {{"_type", "Image"}}},
          {"label", {{"_type", "ClassLabel"}, {"names", class_names}}}}}}}};
  return json.dump();
}

}  // namespace stockpot
