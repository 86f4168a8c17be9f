// control/access: who may do what. A file that the operator writes lists the clients, what each may
// do, and what it shows to be known:
//
//   # client     role       shows                            until
//   team-a       submitter  sha256:9f86d081884c7d65…         2027-01-01T00:00:00Z
//   dashboards   viewer     sha256:60303ae22b998861…
//   ci           submitter  certificate:ci.example.com
//   *            admin      sha256:fd61a03af4f77d87…
//   gpu-pool     worker     sha256:2c26b46b68ffc68f…
//
// A token is shown as "authorization: Bearer TOKEN"; the file has its SHA-256 alone. A certificate
// is that of a mutual TLS connection, by a DNS name, URI, e-mail or common name in it. A client may
// have several lines. The client "*" sees every client's jobs, as an admin does.
//
// Thread safety: immutable after Parse().
#ifndef STOCKPOT_SERVER_CONTROL_ACCESS_ACCESS_LIST_H_
#define STOCKPOT_SERVER_CONTROL_ACCESS_ACCESS_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace stockpot {

enum class Role {
  kViewer,     // reads jobs of its client
  kSubmitter,  // makes, ends and deletes them too, inspects sources and verifies soups
  kAdmin,      // all of that with every client's jobs
  kWorker,     // none of that: runs tasks for the server, at the workers' port
};

struct Identity {
  std::string client;  // "*": of no client, and of all
  Role role = Role::kViewer;

  bool sees_all_clients() const { return role == Role::kAdmin || client == "*"; }
};

// 1 to 63 of A-Z, a-z, 0-9 and . _ @ -.
bool IsClientName(absl::string_view name);

class AccessList {
 public:
  // Errors: INVALID_ARGUMENT, naming the line; never what is on it.
  static absl::StatusOr<AccessList> Parse(absl::string_view text);

  // Errors: UNAUTHENTICATED, reason CREDENTIALS_INVALID or CREDENTIALS_EXPIRED. Takes the same time
  // whichever line it is, or none.
  absl::StatusOr<Identity> FindToken(absl::string_view token, absl::Time now) const;
  // By the first of `names` that a line has. Errors: as above.
  absl::StatusOr<Identity> FindCertificate(const std::vector<std::string>& names,
                                           absl::Time now) const;

  size_t size() const { return lines_.size(); }

 private:
  struct Line {
    Identity identity;
    std::string token_digest;  // 32 bytes; "": it is a certificate
    std::string certificate;
    absl::Time until = absl::InfiniteFuture();
  };
  static absl::StatusOr<Line> ParseLine(absl::string_view text);
  static absl::StatusOr<Identity> Unexpired(const Line* line, absl::Time now);

  std::vector<Line> lines_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_ACCESS_ACCESS_LIST_H_
