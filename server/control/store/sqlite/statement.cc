#include "server/control/store/sqlite/statement.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Another process that looks into the file (a backup, a person) may hold it for a moment.
constexpr int kBusyTimeoutMs = 5000;

absl::Status SqliteStatus(sqlite3* database, int code) {
  const int error = errno;  // sqlite3_system_errno() does not know it of a COMMIT
  const std::string message = absl::StrCat("the store's database: ", sqlite3_errmsg(database));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return WithReason(absl::ResourceExhaustedError(message), "DISK_FULL");
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return WithReason(absl::PermissionDeniedError(message), "STORAGE_READ_ONLY");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    case SQLITE_IOERR:
      // The disk became read-only under an open file.
      if (error == EROFS) {
        return WithReason(absl::PermissionDeniedError(message), "STORAGE_READ_ONLY");
      }
      return absl::InternalError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status Check(sqlite3* database, int code) {
  return code == SQLITE_OK ? absl::OkStatus() : SqliteStatus(database, code);
}

}  // namespace

// A failed bind (out of memory) leaves NULL, which the schema's NOT NULL refuses.
void Statement::Bind(int index, absl::string_view text) {
  sqlite3_bind_text64(statement_.get(), index, text.data() == nullptr ? "" : text.data(),
                      text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void Statement::Bind(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}

void Statement::Bind(int index, double value) {
  sqlite3_bind_double(statement_.get(), index, value);
}

void Statement::BindBlob(int index, absl::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), index, bytes.data() == nullptr ? "" : bytes.data(),
                      bytes.size(), SQLITE_TRANSIENT);
}

void Statement::BindNull(int index) { sqlite3_bind_null(statement_.get(), index); }

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteStatus(sqlite3_db_handle(statement_.get()), code);
}

absl::Status Statement::Run() { return Step().status(); }

std::string Statement::Text(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? "" : std::string(static_cast<const char*>(data), size);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path) {
  return Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenReadOnly(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Open(path, SQLITE_OPEN_READONLY));
  sqlite3_db_config(connection->database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return connection;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, int flags) {
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &database, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  auto connection = std::unique_ptr<Connection>(new Connection(database));
  RETURN_IF_ERROR(Check(database, code));
  sqlite3_extended_result_codes(database, 1);
  sqlite3_busy_timeout(database, kBusyTimeoutMs);
  return connection;
}

Connection::~Connection() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(database_);
}

absl::StatusOr<Statement> Connection::Prepare(const std::string& sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    RETURN_IF_ERROR(
        Check(database_, sqlite3_prepare_v3(database_, sql.c_str(), static_cast<int>(sql.size()),
                                            SQLITE_PREPARE_PERSISTENT, &statement, nullptr)));
    found = statements_.emplace(sql, statement).first;
  }
  return Statement(found->second);
}

absl::Status Connection::Run(const char* sql) {
  return Check(database_, sqlite3_exec(database_, sql, nullptr, nullptr, nullptr));
}

absl::StatusOr<Transaction> Transaction::Begin(Connection* connection) {
  RETURN_IF_ERROR(connection->Run("BEGIN IMMEDIATE"));
  return Transaction(connection);
}

Transaction::~Transaction() {
  // A failed COMMIT may already have rolled back; then there is nothing to do.
  if (connection_ != nullptr) connection_->Run("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  RETURN_IF_ERROR(connection_->Run("COMMIT"));
  connection_ = nullptr;
  return absl::OkStatus();
}

}  // namespace stockpot
