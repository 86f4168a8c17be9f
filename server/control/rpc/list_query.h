// ListJobs: filter and page token to a JobQuery, and the next page's token.
//
// A page token is base64url of JSON {"time": microseconds, "name": …, "priority": …, "filter":
// digest, "order": "create_time desc"}: where the page before ended, and which filter and order it
// was made for. It holds nothing secret and a forged one only starts a page somewhere else. Thread
// safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_LIST_QUERY_H_
#define STOCKPOT_SERVER_CONTROL_RPC_LIST_QUERY_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/control/job/store.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// The query's limit is the page size, 1 to 1,000.
// Errors: INVALID_ARGUMENT INVALID_FIELD: page_size, page_token, filter or order_by.
absl::StatusOr<JobQuery> ToJobQuery(const v1::ListJobsRequest& request);

// The token of the page after `last`; `request`, one that ToJobQuery() took, has filter and order.
std::string MakePageToken(const v1::ListJobsRequest& request, const JobRecord& last);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_LIST_QUERY_H_
