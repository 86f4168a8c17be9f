// A gRPC call to a service that a test has no stub of, such as health.
// Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_RAW_CALL_H_
#define STOCKPOT_TESTS_SUPPORT_RAW_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

namespace stockpot {

// `request` and `response` are serialized messages. `authorization`: the metadata; "": none.
inline grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel,
                            const std::string& method, const std::string& request,
                            std::string* response, const std::string& authorization = "") {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  if (!authorization.empty()) context.AddMetadata("authorization", authorization);
  const grpc::Slice slice(request);
  const grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  grpc::Status status;
  // By a queue that this thread waits for: a callback runs on a thread of gRPC's, which
  // ThreadSanitizer does not see the order of.
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, method, in, &queue);
  call->StartCall();
  call->Finish(&out, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  std::vector<grpc::Slice> slices;
  if (status.ok() && out.Dump(&slices).ok()) {
    for (const grpc::Slice& part : slices) {
      response->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  return status;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_RAW_CALL_H_
