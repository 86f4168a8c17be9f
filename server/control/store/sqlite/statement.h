// SQLite's C interface as two small owners: a connection and a statement. Internal to store/sqlite.
//
//   ASSIGN_OR_RETURN(Statement find, connection.Prepare("SELECT body FROM events WHERE key = ?"));
//   find.Bind(1, key);
//   ASSIGN_OR_RETURN(bool found, find.Step());
//
// Errors become codes: SQLITE_FULL RESOURCE_EXHAUSTED (DISK_FULL), SQLITE_BUSY UNAVAILABLE,
// SQLITE_CORRUPT and SQLITE_NOTADB DATA_LOSS, constraints ALREADY_EXISTS, else INTERNAL.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_CONTROL_STORE_SQLITE_STATEMENT_H_
#define STOCKPOT_SERVER_CONTROL_STORE_SQLITE_STATEMENT_H_

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

// A prepared statement, borrowed from its connection until destroyed.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  // Parameters count from 1. What is bound is copied.
  void Bind(int index, absl::string_view text);
  void Bind(int index, int64_t value);
  void Bind(int index, double value);
  void BindBlob(int index, absl::string_view bytes);
  void BindNull(int index);

  // True: a row is there; false: the end.
  absl::StatusOr<bool> Step();
  // Runs a statement that has no rows.
  absl::Status Run();

  // Columns count from 0.
  std::string Text(int column) const;
  int64_t Integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  double Real(int column) const { return sqlite3_column_double(statement_.get(), column); }
  bool IsNull(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }

 private:
  struct Reset {
    void operator()(sqlite3_stmt* statement) const {
      sqlite3_reset(statement);
      sqlite3_clear_bindings(statement);
    }
  };
  std::unique_ptr<sqlite3_stmt, Reset> statement_;
};

class Connection {
 public:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path);
  // Of a database that is there and stays as it is: its log is read, not checkpointed.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenReadOnly(const std::string& path);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Compiled once and kept; `sql` must not be in use by another Statement.
  absl::StatusOr<Statement> Prepare(const std::string& sql);
  // Several statements without parameters or rows.
  absl::Status Run(const char* sql);
  // Rows that the last statement inserted, updated or deleted.
  int64_t changes() const { return sqlite3_changes(database_); }
  int64_t last_row_id() const { return sqlite3_last_insert_rowid(database_); }

 private:
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, int flags);
  explicit Connection(sqlite3* database) : database_(database) {}
  sqlite3* const database_;
  std::map<std::string, sqlite3_stmt*> statements_;
};

// BEGIN IMMEDIATE now, ROLLBACK at the end unless committed.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Connection* connection);
  Transaction(Transaction&& other) noexcept : connection_(other.connection_) {
    other.connection_ = nullptr;
  }
  Transaction& operator=(Transaction&& other) noexcept {
    std::swap(connection_, other.connection_);
    return *this;
  }
  ~Transaction();
  absl::Status Commit();

 private:
  explicit Transaction(Connection* connection) : connection_(connection) {}
  Connection* connection_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_STORE_SQLITE_STATEMENT_H_
