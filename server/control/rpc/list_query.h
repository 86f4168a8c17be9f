// ListJobs: filter and page token to a JobQuery, and the next page's token.
//
// A page token is base64url of JSON {"time": microseconds, "name": …, "filter": digest}: where the
// page before ended, and which filter it was made for. It holds nothing secret and a forged one
// only starts a page somewhere else. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_LIST_QUERY_H_
#define STOCKPOT_SERVER_CONTROL_RPC_LIST_QUERY_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/control/job/store.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// The query's limit is the page size, 1 to 1,000.
// Errors: INVALID_ARGUMENT INVALID_FIELD: page_size, page_token or filter.
absl::StatusOr<JobQuery> ToJobQuery(const v1::ListJobsRequest& request);

// The token of the page after `last` with this filter.
std::string MakePageToken(const std::string& filter, const JobRecord& last);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_LIST_QUERY_H_
