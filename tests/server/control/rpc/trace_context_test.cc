#include "server/control/rpc/trace_context.h"

#include <gtest/gtest.h>

#include <string>

#include "server/control/rpc/call_metadata.h"

namespace stockpot {
namespace {

const char kTrace[] = "0af7651916cd43dd8448eb211c80319c";
const char kParent[] = "b7ad6b7169203331";

std::string Traceparent(const std::string& version = "00", const std::string& trace = kTrace,
                        const std::string& parent = kParent, const std::string& flags = "01") {
  return version + "-" + trace + "-" + parent + "-" + flags;
}

TEST(TraceContext, ReadsWhatTheStandardWrites) {
  for (const std::string& text : {Traceparent(), Traceparent("00", kTrace, kParent, "00"),
                                  Traceparent("cc"), Traceparent("cc") + "-what-the-future-has"}) {
    const auto trace = ParseTraceparent(text);
    ASSERT_TRUE(trace.has_value()) << text;
    EXPECT_EQ(trace->trace_id, kTrace);
    EXPECT_EQ(trace->parent_id, kParent);
  }
}

TEST(TraceContext, TakesWhatIsMalformedForNotGiven) {
  const std::string upper = "0AF7651916CD43DD8448EB211C80319C";
  for (const std::string& text : {std::string(),
                                  std::string("-"),
                                  std::string(55, '0'),
                                  std::string(55, '-'),
                                  Traceparent("ff"),
                                  Traceparent("0"),
                                  Traceparent("0g"),
                                  Traceparent("00", upper),
                                  Traceparent("00", std::string(32, '0')),
                                  Traceparent("00", std::string(31, 'a')),
                                  Traceparent("00", std::string(33, 'a')),
                                  Traceparent("00", kTrace, std::string(16, '0')),
                                  Traceparent("00", kTrace, "b7ad6b716920333"),
                                  Traceparent("00", kTrace, kParent, "0"),
                                  Traceparent("00", kTrace, kParent, "0x"),
                                  Traceparent() + "-",
                                  Traceparent() + "-more",
                                  Traceparent("cc") + "more",
                                  " " + Traceparent(),
                                  Traceparent() + " ",
                                  Traceparent() + "," + Traceparent(),
                                  Traceparent("00", std::string("a\0", 2) + kTrace)}) {
    EXPECT_FALSE(ParseTraceparent(text).has_value()) << text;
  }
}

TEST(TraceContext, TwoOfThemAreNone) {
  const std::string text = Traceparent();
  CallMetadata metadata = {{"traceparent", text}};
  EXPECT_EQ(TraceOf(metadata).trace_id, kTrace);
  metadata.emplace("traceparent", text);
  EXPECT_EQ(TraceOf(metadata).trace_id, "");
  EXPECT_EQ(TraceOf({}).trace_id, "");
}

}  // namespace
}  // namespace stockpot
